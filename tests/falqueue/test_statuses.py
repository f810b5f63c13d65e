"""Log entries: which are new in a window, and their levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

import falqueue
from falqueue import LogEntry
from falqueue._responses import parse_status
from falqueue._statuses import new_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES = st.lists(st.integers(), unique=True).map(lambda numbers: [LogEntry(str(n)) for n in numbers])


@given(lines=LINES, data=st.data())
def test_overlapping_log_windows_give_each_entry_once(lines: Sequence[LogEntry], data: st.DataObject) -> None:
    """Each window starts within the one before, or right after it."""
    shown: list[LogEntry] = []
    window: Sequence[LogEntry] = ()
    end = 0
    while end < len(lines):
        start = data.draw(st.integers(max(0, end - len(window)), end))
        end = data.draw(st.integers(end + 1, len(lines)))
        shown.extend(new_entries(window, lines[start:end]))
        window = lines[start:end]
    assert shown == lines


def test_a_log_entry_that_is_written_twice_is_shown_twice() -> None:
    again = LogEntry("50%", "t")
    assert new_entries([again], [again, again]) == (again,)


def test_the_level_of_a_log_entry_is_read_from_either_place(
    handle: falqueue.Handle[falqueue.VideoOutput],
) -> None:
    logs = [
        {"message": "a", "timestamp": "t", "level": "WARN", "source": "USER"},
        {"message": "b", "timestamp": "t", "labels": {"level": "INFO", "source": "USER"}},
        {"message": "c"},
    ]
    status = parse_status({"status": "IN_PROGRESS", "logs": logs}, handle)
    assert isinstance(status, falqueue.InProgress)
    assert [entry.level for entry in status.logs] == ["WARN", "INFO", ""]
