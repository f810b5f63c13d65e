"""The fidelity page is up to date, and claims no more than the transcripts show."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from falcontract import fidelity
from falcontract.live import transcripts
from falcontract.properties.catalogue import catalogue

if TYPE_CHECKING:
    from pathlib import Path

TODAY = dt.date(2026, 11, 22)


def test_the_fidelity_page_is_up_to_date(fixtures: Path) -> None:
    page = fixtures.parent / "docs" / "fidelity.md"
    assert page.read_text() == fidelity.markdown(fixtures / "transcripts"), "run make fidelity"


def test_without_a_live_transcript_every_property_is_unverified(fixtures: Path) -> None:
    lines = fidelity.table(fixtures / "transcripts" / "published", TODAY).splitlines()
    assert all("UNVERIFIED" in line for line in lines[:118])
    assert "agreed with 0 of 118" in lines[-1]


def test_a_live_transcript_dates_the_properties_that_it_shows_and_no_others(
    fixtures: Path, tmp_path: Path
) -> None:
    published = transcripts.read(fixtures / "transcripts" / "published" / "early-result.jsonl")
    lines = tuple(
        line | {"headers": {"x-fal-request-id": "<rid:1>", "content-type": "application/json"}}
        for line in published.lines
    )
    live = dataclasses.replace(
        published, head=published.head | {"evidence": "live", "date": "2026-11-01"}, lines=lines
    )
    transcripts.write([live], tmp_path)
    known = transcripts.read_all(tmp_path)
    dates = {p.id: fidelity.last_seen(p, known) for p in catalogue()}
    assert dates["P10"] == dates["P3"] == "2026-11-01"
    assert dates["P44"] is None
    table = fidelity.table(tmp_path, TODAY)
    assert "P10  mock always      live MATCH       2026-11-01" in table
    assert "expired" in fidelity.table(tmp_path, TODAY + dt.timedelta(days=200))


def test_each_fact_names_properties_and_each_later_property_is_in_a_fact() -> None:
    """The first 61 properties came from a catalogue; the others were derived from facts."""
    known = {p.id: p for p in catalogue()}
    named = {name for _, _, ids in fidelity.facts() for name in ids}
    assert named <= known.keys()
    of_fal = {p.id for p in known.values() if p.number > 61 and "PROTOCOL" in p.evidence}
    # P64 and P95 are about emulators, P98 to P104 about falqueue.
    assert of_fal - named <= {"P64", "P95", *(f"P{number}" for number in range(98, 105))}


def test_each_fact_has_a_mutant() -> None:
    rows = fidelity._fact_rows()
    assert [row for row in rows if row.endswith("|  |")] == []
