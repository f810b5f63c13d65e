from __future__ import annotations

import pytest

from falmock.engine.lifecycle import TRANSITIONS, Event, IllegalTransitionError, State, after


def test_fal_has_three_states_and_no_other() -> None:
    assert [str(state) for state in State] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_request_goes_from_the_queue_through_a_run_to_its_end() -> None:
    assert after(after(State.IN_QUEUE, Event.START), Event.FINISH) is State.COMPLETED


def test_completed_is_a_final_state() -> None:
    assert TRANSITIONS[State.COMPLETED] == {}


@pytest.mark.parametrize(
    ("state", "event"),
    [(state, event) for state in State for event in Event if event not in TRANSITIONS[state]],
)
def test_a_transition_that_the_table_does_not_have_is_refused(state: State, event: Event) -> None:
    with pytest.raises(IllegalTransitionError, match=str(event)):
        after(state, event)
