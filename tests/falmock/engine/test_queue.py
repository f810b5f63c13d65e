from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from falmock.engine.lifecycle import Event
from falmock.engine.queue import LOW, NORMAL, Job, Queue

if TYPE_CHECKING:
    from collections.abc import Iterable


def job(name: str, order: int, *, caller: str = "me", application: str = "a", **more: Any) -> Job:
    priority = int(more.pop("priority", NORMAL))
    times = {"ready_at": 1.0, "run_seconds": 4.0} | more
    return Job(name, application, caller, order, priority, **times)


def queue_of(*jobs: Job, runners: int = 1, concurrency: int = 10) -> Queue:
    queue = Queue(runners=runners, concurrency=concurrency, now=0.0)
    for each in jobs:
        queue.add(each)
    return queue


def let_run(queue: Queue, until: float) -> list[tuple[float, str, Event]]:
    """Advance, with every outcome known as soon as its run starts."""
    story = []
    for happening in queue.advance(until):
        if happening.event is Event.START:
            queue.settle(happening.job.id, happening.at)
        story.append((happening.at, happening.job.id, happening.event))
    return story


def started(story: Iterable[tuple[float, str, Event]]) -> list[tuple[float, str]]:
    return [(at, name) for at, name, event in story if event is Event.START]


def test_a_job_starts_when_it_is_ready_and_finishes_after_its_run_time() -> None:
    assert let_run(queue_of(job("a", 1)), 10) == [(1, "a", Event.START), (5, "a", Event.FINISH)]


def test_no_event_happens_before_it_is_due() -> None:
    queue = queue_of(job("a", 1))

    assert (let_run(queue, 0.9), queue.due()) == ([], 1.0)


def test_one_runner_takes_jobs_in_submit_order() -> None:
    queue = queue_of(job("b", 2), job("a", 1), job("c", 3))

    assert started(let_run(queue, 20)) == [(1, "a"), (5, "b"), (9, "c")]


def test_a_job_that_is_not_ready_is_not_overtaken() -> None:
    queue = queue_of(job("late", 1, ready_at=3), job("early", 2, ready_at=1))

    assert started(let_run(queue, 20)) == [(3, "late"), (7, "early")]


def test_as_many_jobs_run_as_there_are_runners() -> None:
    queue = queue_of(job("a", 1), job("b", 2), job("c", 3), runners=2)

    assert started(let_run(queue, 20)) == [(1, "a"), (1, "b"), (5, "c")]


def test_a_low_priority_job_waits_for_every_normal_one() -> None:
    queue = queue_of(job("low", 1, priority=LOW), job("a", 2), job("b", 3))

    assert [name for _, name in started(let_run(queue, 20))] == ["a", "b", "low"]


def test_jobs_of_a_caller_at_its_concurrency_limit_are_passed_over() -> None:
    queue = queue_of(job("a1", 1), job("a2", 2), job("b1", 3, caller="you"), runners=2, concurrency=1)

    assert started(let_run(queue, 20)) == [(1, "a1"), (1, "b1"), (5, "a2")]


def test_the_concurrency_limit_counts_jobs_of_all_applications() -> None:
    queue = queue_of(job("a", 1), job("b", 2, application="other"), concurrency=1)

    assert started(let_run(queue, 20)) == [(1, "a"), (5, "b")]


def test_a_job_that_no_runner_took_by_its_deadline_times_out() -> None:
    queue = queue_of(job("a", 1), job("b", 2, start_by=3.0))

    assert (3.0, "b", Event.START_TIMEOUT) in let_run(queue, 20)


def test_a_start_exactly_at_the_deadline_is_in_time() -> None:
    assert started(let_run(queue_of(job("a", 1, start_by=1.0)), 20)) == [(1.0, "a")]


def test_a_position_counts_all_jobs_before_it() -> None:
    queue = queue_of(job("low", 1, priority=LOW), job("a", 2), job("b", 3, caller="you"))

    assert {name: queue.position(name) for name in ("a", "b", "low")} == {"a": 0, "b": 1, "low": 2}


def test_a_run_whose_outcome_is_unknown_keeps_its_runner() -> None:
    queue = queue_of(job("a", 1), job("b", 2))
    list(queue.advance(100))

    queue.settle("a", 100)

    assert [(h.at, h.job.id) for h in queue.advance(100)] == [(100, "a"), (100, "b")]


def test_a_cancelled_job_that_waited_never_runs() -> None:
    queue = queue_of(job("a", 1), job("b", 2))
    queue.cancel("a", 0.5)

    assert [name for _, name in started(let_run(queue, 20))] == ["b"]


def test_a_cancelled_job_that_ran_frees_its_runner() -> None:
    queue = queue_of(job("a", 1), job("b", 2))
    let_run(queue, 2)
    queue.cancel("a", 2)

    assert started(let_run(queue, 20)) == [(2, "b")]


def test_a_running_job_that_is_added_again_ends_at_its_old_time() -> None:
    queue = queue_of()
    queue.add(job("a", 1, started_at=-1.0))
    queue.settle("a", 0)

    assert let_run(queue, 20) == [(3.0, "a", Event.FINISH)]


def test_the_next_job_starts_no_earlier_than_the_cancel_that_freed_the_runner() -> None:
    queue = queue_of(job("a", 1), job("b", 2))
    let_run(queue, 1)
    queue.cancel("a", 3)

    assert started(let_run(queue, 20)) == [(3, "b")]


def test_a_held_waiting_job_is_passed_and_counts_in_no_position() -> None:
    queue = queue_of(job("a", 1), job("b", 2), job("c", 3))
    queue.hold("a", 0)

    assert (queue.position("b"), queue.position("c")) == (0, 1)
    assert started(let_run(queue, 20)) == [(1, "b"), (5, "c")]


def test_a_released_job_has_its_old_position() -> None:
    queue = queue_of(job("a", 1), job("b", 2), job("c", 3))
    queue.hold("a", 0)
    story = let_run(queue, 2)
    queue.release("a", 2)

    assert started(story + let_run(queue, 20)) == [(1, "b"), (5, "a"), (9, "c")]


def test_a_held_waiting_job_still_times_out() -> None:
    queue = queue_of(job("a", 1, start_by=3))
    queue.hold("a", 0)

    assert let_run(queue, 20) == [(3, "a", Event.START_TIMEOUT)]


def test_a_held_run_keeps_its_runner_and_ends_at_the_release() -> None:
    queue = queue_of(job("a", 1), job("b", 2))
    let_run(queue, 2)
    queue.hold("a", 2)
    assert let_run(queue, 10) == []

    queue.release("a", 10)

    assert let_run(queue, 11) == [(10, "a", Event.FINISH), (10, "b", Event.START)]


def test_a_held_run_that_is_released_in_time_ends_at_its_old_time() -> None:
    queue = queue_of(job("a", 1))
    let_run(queue, 2)
    queue.hold("a", 2)
    queue.release("a", 3)

    assert let_run(queue, 11) == [(5, "a", Event.FINISH)]


def test_a_hurried_run_ends_when_its_outcome_is_known() -> None:
    queue = queue_of(job("a", 1))
    list(queue.advance(1))
    queue.hurry("a", 2)
    queue.settle("a", 3)

    assert [(each.at, each.event) for each in queue.advance(20)] == [(3, Event.FINISH)]


def test_a_job_started_by_hand_gets_an_extra_runner_if_none_is_free() -> None:
    queue = queue_of(job("a", 1), job("b", 2), job("c", 3))
    let_run(queue, 2)

    queue.start("b", 2)

    assert (queue.running("a"), started(let_run(queue, 5))) == (2, [])


def test_a_job_cannot_be_settled_before_it_starts() -> None:
    with pytest.raises(ValueError, match="has not started"):
        queue_of(job("a", 1)).settle("a", 0)


@dataclass
class Reference:
    """The rules again, in the plainest way: a list that is walked through every tenth of a second."""

    runners: int
    concurrency: int
    waiting: list[Job]
    running: list[tuple[float, Job]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    story: list[tuple[float, str, Event]] = field(default_factory=list)

    def tick(self, now: float) -> None:
        while self.finish(now) or self.start(now) or self.time_out(now):
            pass

    def finish(self, now: float) -> bool:
        ended = [pair for pair in self.running if pair[0] <= now and pair[1].id not in self.held]
        for end, each in sorted(ended, key=lambda pair: pair[1].order)[:1]:
            self.running.remove((end, each))
            self.story.append((now, each.id, Event.FINISH))
        return bool(ended)

    def start(self, now: float) -> bool:
        head = self.head(now)
        if head is None:
            return False
        self.waiting.remove(head)
        self.running.append((now + head.run_seconds, head))
        self.story.append((now, head.id, Event.START))
        return True

    def time_out(self, now: float) -> bool:
        late = [each for each in self.waiting if each.start_by == now]
        for each in sorted(late, key=lambda waiting: waiting.order)[:1]:
            self.waiting.remove(each)
            self.story.append((now, each.id, Event.START_TIMEOUT))
        return bool(late)

    def head(self, now: float) -> Job | None:
        def runs(caller: str) -> int:
            return sum(each.caller == caller for _, each in self.running)

        able = [each for each in self.taken() if runs(each.caller) < self.concurrency]
        if len(self.running) >= self.runners:
            return None
        first = sorted((each for each in able if not each.bypass), key=lambda each: each.place)[:1]
        ready = [each for each in able if each.ready_at <= now and (each.bypass or each in first)]
        return min(ready, key=lambda each: each.place, default=None)

    def taken(self) -> list[Job]:
        return [each for each in self.waiting if each.id not in self.held]

    def in_line(self) -> list[Job]:
        return sorted((each for each in self.taken() if not each.bypass), key=lambda each: each.place)

    def act(self, act: str, name: str, now: float) -> None:
        """Steer a job that has not ended."""
        ending = {each.id: (end, each) for end, each in self.running}.get(name)
        if act == "hold":
            self.held.add(name)
            return
        self.held.discard(name)
        if act == "release":
            if ending is not None:
                self.running[self.running.index(ending)] = (max(ending[0], now), ending[1])
            return
        if act == "finish" and ending is None:
            (waiting,) = [each for each in self.waiting if each.id == name]
            self.story.append((now, name, Event.START))
            self.running.append((now, waiting))
        elif act == "finish" and ending is not None:
            self.running[self.running.index(ending)] = (now, ending[1])
        else:
            self.running = [pair for pair in self.running if pair[1].id != name]
        self.waiting = [each for each in self.waiting if each.id != name]

    def is_open(self, name: str) -> bool:
        return name in {each.id for each in self.waiting} | {each.id for _, each in self.running}


def do(queue: Queue, act: str, name: str, now: float) -> list[tuple[float, str, Event]]:
    """Steer a job; return the same action for the simulation."""
    if act != "finish":
        getattr(queue, act)(name, now)
        return []
    story = []
    if any(each.id == name for each in queue.waiting_jobs("a")):
        queue.start(name, now)
        queue.settle(name, now)
        story.append((now, name, Event.START))
    queue.hurry(name, now)
    return story


jobs = st.lists(
    st.fixed_dictionaries(
        {
            "caller": st.sampled_from(["me", "you"]),
            "priority": st.sampled_from([NORMAL, LOW]),
            "ready_at": st.integers(0, 6),
            "run_seconds": st.integers(1, 5),
            "start_by": st.one_of(st.just(float("inf")), st.integers(1, 9)),
            "bypass": st.booleans(),
        }
    ),
    max_size=8,
)


@given(jobs, st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(0, 60), max_size=5))
def test_the_queue_agrees_with_a_second_by_second_simulation(
    specs: list[dict[str, Any]], runners: int, concurrency: int, polls: list[int]
) -> None:
    def jobs_of_case() -> list[Job]:
        return [job(f"j{order}", order, **more) for order, more in enumerate(specs)]

    reference = Reference(runners, concurrency, jobs_of_case())
    for second in range(61):
        reference.tick(second)
    queue = queue_of(*jobs_of_case(), runners=runners, concurrency=concurrency)

    story = [event for until in [*sorted(polls), 60] for event in let_run(queue, until)]

    assert story == reference.story


acts = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["hold", "release", "finish", "cancel"]), st.integers(0, 1)),
    min_size=2,
    max_size=12,
)


@given(jobs.filter(bool), st.integers(1, 3), st.integers(1, 3), acts)
def test_the_queue_agrees_with_the_simulation_under_manual_control(
    specs: list[dict[str, float]], runners: int, concurrency: int, acts: list[tuple[int, str, int]]
) -> None:
    def jobs_of_case() -> list[Job]:
        return [job(f"j{order}", order, **more) for order, more in enumerate(specs)]  # type: ignore[arg-type]

    reference = Reference(runners, concurrency, jobs_of_case())
    queue = queue_of(*jobs_of_case(), runners=runners, concurrency=concurrency)
    story = []
    for second in range(61):
        reference.tick(second)
        if queue.due() <= second:
            story += let_run(queue, second)
        for act, name in [(act, f"j{number}") for at, act, number in acts if at == second]:
            if reference.is_open(name):
                reference.act(act, name, second)
                reference.tick(second)
                story += do(queue, act, name, second)
                story += let_run(queue, second)
        in_line = [each.id for each in reference.in_line()]
        assert [queue.position(name) for name in in_line] == list(range(len(in_line)))

    assert story == reference.story
