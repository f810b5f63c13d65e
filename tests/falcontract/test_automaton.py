"""The model says yes to what fal may do, and no to the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcontract.automaton import (
    CANCEL_CODE,
    DONE,
    EDGES,
    IN_PROGRESS_TEXT,
    QUEUED,
    RUNNING,
    STATUS_CODE,
    Automaton,
)


def told(state: str) -> dict[str, str]:
    return {"status": state}


@given(st.data())
def test_every_walk_along_the_edges_is_accepted(data: st.DataObject) -> None:
    model, state = Automaton(), QUEUED
    for _ in range(data.draw(st.integers(0, 8))):
        state = data.draw(st.sampled_from([state, *(end for begin, end in EDGES if begin == state)]))
        assert model.status(told(state), STATUS_CODE[state]) is None


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "", None, 7])
def test_there_are_only_three_states(state: object) -> None:
    assert Automaton().status({"status": state}, 202) is not None


@pytest.mark.parametrize(("state", "code"), [(QUEUED, 200), (RUNNING, 200), (DONE, 202), (DONE, 404)])
def test_each_state_has_its_code(state: str, code: int) -> None:
    assert Automaton().status(told(state), code) is not None


@pytest.mark.parametrize("after", [QUEUED, RUNNING])
def test_nothing_comes_after_completed(after: str) -> None:
    model = Automaton()
    assert model.status(told(DONE), 200) is None
    assert model.status(told(after), 202) is not None


def test_a_rerun_leads_back_only_where_there_are_reruns() -> None:
    for reruns in (True, False):
        model = Automaton(reruns=reruns)
        assert model.status(told(RUNNING), 202) is None
        assert (model.status(told(QUEUED), 202) is None) is reruns


def test_an_early_result_says_that_the_job_is_not_over() -> None:
    model = Automaton()
    assert model.result(400, IN_PROGRESS_TEXT) is None
    assert model.possible == {QUEUED, RUNNING, DONE}
    assert model.status(told(DONE), 200) is None
    assert model.result(400, IN_PROGRESS_TEXT) is not None


def test_a_final_result_says_that_it_is() -> None:
    model = Automaton()
    assert model.result(422, [{}]) is None
    assert model.status(told(RUNNING), 202) is not None


@pytest.mark.parametrize(("word", "code"), CANCEL_CODE.items())
def test_each_cancel_word_has_its_code(word: str, code: int) -> None:
    assert Automaton().cancel(code + 1, word) is not None
    if word != "NOT_FOUND":
        assert Automaton().cancel(code, word) is None


def test_a_cancel_is_not_accepted_after_the_end() -> None:
    model = Automaton()
    assert model.cancel(400, "ALREADY_COMPLETED") is None
    assert model.cancel(202, "CANCELLATION_REQUESTED") is not None


def test_a_cancel_has_no_other_word() -> None:
    assert Automaton().cancel(200, "CANCELLED") is not None
