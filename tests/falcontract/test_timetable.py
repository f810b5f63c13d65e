"""The timetable computes start and end of each job."""

from __future__ import annotations

import math

import pytest

from falcontract.model.timetable import ScheduledJob, position_of, schedule_jobs


def job(name: str, **more: float | str | bool) -> ScheduledJob:
    values = {"application": "app", "caller": "a", "submitted": 0.0, "ready": 1.0, "run_seconds": 4.0, **more}
    return ScheduledJob(name=name, **values)  # type: ignore[arg-type]


def times(jobs: list[ScheduledJob], *, runners: int = 1, concurrency: int = 9) -> list[tuple[float, float]]:
    schedule_jobs(jobs, runners=runners, concurrency=concurrency)
    return [(one.started, one.ended) for one in jobs]


@pytest.mark.parametrize(
    ("runners", "expected"),
    [(1, [(1, 5), (5, 9), (9, 13)]), (2, [(1, 5), (1, 5), (5, 9)]), (3, [(1, 5), (1, 5), (1, 5)])],
)
def test_runners_start_jobs_in_order(runners: int, expected: list[tuple[float, float]]) -> None:
    assert times([job("A"), job("B"), job("C")], runners=runners) == expected


def test_a_low_priority_job_waits_behind_normal_ones() -> None:
    assert times([job("A"), job("B", low=True), job("C")]) == [(1, 5), (9, 13), (5, 9)]


def test_jobs_of_a_caller_at_its_limit_are_overtaken() -> None:
    jobs = [job("A"), job("B"), job("C", caller="b")]
    assert times(jobs, runners=3, concurrency=1) == [(1, 5), (5, 9), (1, 5)]


def test_a_submit_at_the_time_of_a_start_comes_after_it() -> None:
    short = job("A", run_seconds=0.08)
    late = job("C", submitted=1.08 + 1e-6, ready=2.08)  # the time at which A ends

    assert times([short, job("B", low=True), late])[1:] == [(1.08, 5.08), (5.08, 9.08)]


def test_a_submit_before_a_cancel_at_the_same_time_is_in_the_queue() -> None:
    cancelled = job("A", cancelled=1.75 + 2e-6, honours_cancel=True)
    normal = job("C", submitted=1.75 + 1e-6, ready=2.75)

    assert times([cancelled, job("B", low=True), normal])[1:] == [(6.75, 10.75), (2.75, 6.75)]


def test_the_first_job_of_the_queue_is_never_overtaken() -> None:
    jobs = [job("A", ready=3.0), job("B", submitted=0.5, ready=1.5)]
    assert times(jobs) == [(3, 7), (7, 11)]


def test_applications_do_not_share_runners() -> None:
    assert times([job("A"), job("B", application="other")]) == [(1, 5), (1, 5)]


def test_a_cancelled_job_frees_its_runner_if_its_application_honours_the_cancel() -> None:
    assert times([job("A", cancelled=2.0, honours_cancel=True), job("B")]) == [(1, 2), (2, 6)]
    assert times([job("A", cancelled=2.0), job("B")]) == [(1, 5), (5, 9)]


def test_a_job_cancelled_in_the_queue_never_starts() -> None:
    assert times([job("A"), job("B", cancelled=2.0), job("C")]) == [(1, 5), (math.inf, 2), (5, 9)]


def test_a_job_that_does_not_start_in_time_ends() -> None:
    assert times([job("A"), job("B", start_by=3.0)]) == [(1, 5), (math.inf, 3)]


def test_a_start_exactly_at_the_limit_is_in_time() -> None:
    assert times([job("A"), job("B", start_by=5.0)]) == [(1, 5), (5, 9)]


def test_the_state_of_a_job_follows_from_the_time() -> None:
    (only,) = jobs = [job("A")]
    schedule_jobs(jobs, runners=1, concurrency=1)
    seen = [only.state(at) for at in (0, 0.99, 1, 4.99, 5, 99)]
    assert seen == ["IN_QUEUE", "IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED", "COMPLETED"]


def test_the_position_is_the_number_of_jobs_ahead() -> None:
    jobs = [job("A"), job("B", low=True), job("C")]
    schedule_jobs(jobs, runners=1, concurrency=9)
    assert [position_of(one, jobs, 0.5) for one in jobs] == [0, 2, 1]
    assert [position_of(one, jobs, 2.0) for one in jobs[1:]] == [1, 0]
