"""The automaton accepts every order of states that fal allows, and rejects the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcontract.model.automaton import (
    CANCEL_CODE,
    DONE,
    EDGES,
    IN_PROGRESS_TEXT,
    QUEUED,
    RUNNING,
    STATUS_CODE,
    Automaton,
)


def body(state: str) -> dict[str, str]:
    return {"status": state}


@given(st.data())
def test_every_sequence_of_states_along_the_edges_is_accepted(data: st.DataObject) -> None:
    model, state = Automaton(), QUEUED
    for _ in range(data.draw(st.integers(0, 8))):
        state = data.draw(st.sampled_from([state, *(end for begin, end in EDGES if begin == state)]))
        assert model.status(body(state), STATUS_CODE[state]) is None


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "", None, 7])
def test_a_status_that_fal_does_not_have_is_rejected(state: object) -> None:
    assert Automaton().status({"status": state}, 202) is not None


@pytest.mark.parametrize(("state", "code"), [(QUEUED, 200), (RUNNING, 200), (DONE, 202), (DONE, 404)])
def test_a_status_with_the_wrong_http_status_is_rejected(state: str, code: int) -> None:
    assert Automaton().status(body(state), code) is not None


@pytest.mark.parametrize("after", [QUEUED, RUNNING])
def test_no_state_is_accepted_after_completed(after: str) -> None:
    model = Automaton()
    assert model.status(body(DONE), 200) is None
    assert model.status(body(after), 202) is not None


def test_in_queue_after_in_progress_is_accepted_only_with_reruns() -> None:
    for reruns in (True, False):
        model = Automaton(reruns=reruns)
        assert model.status(body(RUNNING), 202) is None
        assert (model.status(body(QUEUED), 202) is None) is reruns


def test_an_early_result_is_rejected_after_completed() -> None:
    model = Automaton()
    assert model.result(400, IN_PROGRESS_TEXT) is None
    assert model.possible == {QUEUED, RUNNING, DONE}
    assert model.status(body(DONE), 200) is None
    assert model.result(400, IN_PROGRESS_TEXT) is not None


def test_in_progress_is_rejected_after_a_final_result() -> None:
    model = Automaton()
    assert model.result(422, [{}]) is None
    assert model.status(body(RUNNING), 202) is not None


@pytest.mark.parametrize(("word", "code"), CANCEL_CODE.items())
def test_each_cancel_word_is_accepted_with_its_http_status_only(word: str, code: int) -> None:
    assert Automaton().cancel(code + 1, word) is not None
    if word != "NOT_FOUND":
        assert Automaton().cancel(code, word) is None


def test_an_accepted_cancel_is_rejected_after_the_end() -> None:
    model = Automaton()
    assert model.cancel(400, "ALREADY_COMPLETED") is None
    assert model.cancel(202, "CANCELLATION_REQUESTED") is not None


def test_an_unknown_cancel_word_is_rejected() -> None:
    assert Automaton().cancel(200, "CANCELLED") is not None
