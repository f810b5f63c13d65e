"""Figures about many requests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from falmock.inspection.figures import Cost, Counts, Figures, Spread, counting

if TYPE_CHECKING:
    from emulated import Mock

    from falmock.engine.rows import Request

START = 1_800_000_000.0


@pytest.fixture
async def request_(mock: Mock) -> Request:
    """A completed request, for rows that are like it."""
    await mock.finish()
    (request,) = mock.emulator.store.requests()
    await mock.emulator.manual.reset()
    return request


def insert(mock: Mock, like: Request, *submits: float, **changes: Any) -> None:
    """Insert requests that were submitted so many seconds after the start, waited 1 s and ran 4 s."""
    store = mock.emulator.store
    first = store.next_seq()
    with store.transaction():
        for number, seconds in enumerate(submits):
            at = START + seconds
            times = {"submitted_at": at, "started_at": at + 1, "completed_at": at + 5}
            row: dict[str, Any] = {
                **times,
                "id": f"r{first}-{number}",
                "seq": first * 100_000 + number,
            } | changes
            store.insert(dataclasses.replace(like, **row))


def figures(mock: Mock, **options: Any) -> Figures:
    steps = counting(mock.emulator.store, {"fal-ai/veo2/image-to-video": 0.5}.get, **options)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Figures = end.value
            return found


async def test_without_requests_all_figures_are_empty(mock: Mock) -> None:
    found = figures(mock)

    assert (found.counts, found.queue, found.run, found.usd) == (Counts(), None, None, 0)
    assert (list(found.models), list(found.tests), list(found.errors)) == ([], [], [])


async def test_requests_are_counted_by_their_outcome(mock: Mock, request_: Request) -> None:
    insert(mock, request_, 0, 1, 2)
    insert(mock, request_, 3, 4, status=422)
    insert(mock, request_, 5, status=499)
    insert(mock, request_, 6, status=None, completed_at=None, state="IN_PROGRESS")

    assert figures(mock).counts == Counts(succeeded=3, failed=2, cancelled=1, open=1)


async def test_requests_are_in_the_bucket_of_their_submit(mock: Mock, request_: Request) -> None:
    insert(mock, request_, 0, 0.9, 2, 29)

    found = figures(mock)

    assert {bucket.at - START: bucket.counts.total for bucket in found.buckets if bucket.counts.total} == {
        0: 2,
        2: 1,
        29: 1,
    }


@pytest.mark.parametrize(
    ("last", "width", "buckets"),
    [(0, 1, 30), (40, 1, 41), (58, 1, 59), (59, 2, 30), (3600, 120, 31), (86_400, 1800, 49)],
)
async def test_buckets_are_as_wide_as_the_time_needs(
    mock: Mock, request_: Request, last: float, width: int, buckets: int
) -> None:
    insert(mock, request_, 0, last)

    found = figures(mock)

    assert (found.width, len(found.buckets)) == (width, buckets)
    assert found.buckets[0].at % width == 0


@pytest.mark.parametrize("last", [1, 59, 700, 10_000, 1e6, 1e8, 3e10])
async def test_there_are_from_30_to_60_buckets(mock: Mock, request_: Request, last: float) -> None:
    insert(mock, request_, 0.7, last)

    assert 30 <= len(figures(mock).buckets) <= 60


async def test_times_are_given_as_median_and_90th_percentile(mock: Mock, request_: Request) -> None:
    for seconds in range(1, 11):
        at = START + 1
        insert(mock, request_, 1, started_at=at + seconds, completed_at=at + 3 * seconds)

    found = figures(mock)

    assert (found.queue, found.run) == (Spread(5, 9), Spread(10, 18))
    assert [(bucket.queue, bucket.run) for bucket in found.buckets if bucket.queue] == [
        (Spread(5, 9), Spread(10, 18))
    ]


async def test_a_request_that_never_started_was_in_the_queue_until_its_end(
    mock: Mock, request_: Request
) -> None:
    insert(mock, request_, 0, status=499, started_at=None, completed_at=START + 7)

    assert (figures(mock).queue, figures(mock).run) == (Spread(7, 7), None)


async def test_the_cost_is_given_by_model_and_by_test(mock: Mock, request_: Request) -> None:
    insert(mock, request_, 0, 1, test="a")
    insert(mock, request_, 2, test="b")
    insert(mock, request_, 3, path="")

    found = figures(mock)

    assert found.usd == 7.5
    assert list(found.models) == [
        ("fal-ai/veo2/image-to-video", Cost(3, 7.5)),
        ("fal-ai/veo2", Cost(1, None)),
    ]
    assert list(found.tests) == [("a", Cost(2, 5.0)), ("b", Cost(1, 2.5)), (None, Cost(1, None))]


async def test_a_request_without_an_outcome_costs_nothing_yet(mock: Mock, request_: Request) -> None:
    insert(mock, request_, 0, status=None, headers="{}")

    assert list(figures(mock).models) == [("fal-ai/veo2/image-to-video", Cost(1, 0.0))]


async def test_the_newest_requests_count(mock: Mock, request_: Request) -> None:
    insert(mock, request_, *range(10))

    found = figures(mock, newest=4)

    assert (found.counts.total, found.buckets[0].at) == (4, START + 6)


async def test_a_length_of_time_has_buckets_until_now(mock: Mock, request_: Request) -> None:
    insert(mock, request_, *range(0, 1000, 100))

    found = figures(mock, since=START + 450, now=START + 1050)

    assert (found.counts.total, found.width) == (5, 15)
    assert (found.buckets[0].at, found.buckets[-1].at) == (START + 450, START + 1050)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"detail":[{"type":"string_type","loc":["body","prompt"],"msg":"x"}]}', "string_type"),
        (b'{"detail":[{"loc":["body","type"],"msg":"a \\"type\\":\\"b\\"","type":"odd"}]}', "odd"),
        (b'{"detail": [{"loc": ["body"], "type": "spaced"}]}', "spaced"),
        (b'{"detail":"Path /x not found"}', "HTTP 422"),
        (b"", "HTTP 422"),
        (b"\xff\xfe", "HTTP 422"),
        (('{"detail":[{"type":"odd","input":"' + "\u4e2d" * 1000 + '"}]}').encode(), "odd"),
        (b'{"detail":[{"msg":"' + b"x" * 5000 + b'","type":"far"}]}', "HTTP 422"),
    ],
)
async def test_an_error_has_the_type_in_its_body(
    mock: Mock, request_: Request, body: bytes, expected: str
) -> None:
    insert(mock, request_, 0, status=422, id="failed")
    mock.emulator.store.keep("failed", "output", body)

    assert list(figures(mock).errors) == [(expected, 1)]


async def test_an_error_of_the_platform_has_its_own_type(mock: Mock, request_: Request) -> None:
    insert(mock, request_, 0, 1, status=503, error_type="runner_disconnected")
    insert(mock, request_, 2, status=500, error_type="internal_error")

    assert list(figures(mock).errors) == [("runner_disconnected", 2), ("internal_error", 1)]


async def test_many_requests_are_counted_in_many_steps(mock: Mock, request_: Request) -> None:
    insert(mock, request_, *range(5000))

    steps = list(counting(mock.emulator.store, lambda _: None))

    assert len(steps) > 5000 / 250
