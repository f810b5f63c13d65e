"""Transcripts: the model accepts fal's, rejects the others', and the emulator repeats fal's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from falcontract import automaton, properties, transcripts, wire
from falcontract.programs import catalogue
from falcontract.scrubbing import LeakError
from falcontract.targets import KEY_A

if TYPE_CHECKING:
    from falcontract.emulated import Emulated

FOLDER = Path(__file__).parents[2] / "fixtures"
GOLDEN = sorted((FOLDER / "transcripts").glob("**/*.jsonl"))
BAD = sorted((FOLDER / "bad").glob("*.jsonl"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_model_accepts_what_fal_said(path: Path) -> None:
    trace = transcripts.read(path).trace()
    assert list(automaton.rejections(trace)) == []
    wrong = [
        (p.id, one)
        for p in properties.catalogue()
        if p.looks_at(trace)
        for one in p.check(trace)
        if not one.holds
    ]
    assert wrong == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_emulator_says_what_fal_said(path: Path, mock: Emulated) -> None:
    transcript = transcripts.read(path)
    if why := transcript.head.get("unreplayable"):
        assert why.startswith("needs ")  # it is told, and listed by the page on fidelity
    else:
        assert [str(d) for _, d in asyncio.run(transcripts.replay(transcript, mock))] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_fal_does_not_say_is_rejected(path: Path) -> None:
    transcript = transcripts.read(path)
    trace = transcript.trace()
    for name in transcript.head["rejected_by"]:
        p = properties.PROPERTIES[name]
        assert p.looks_at(trace)
        assert any(not one.holds for one in p.check(trace)), f"{name} takes it"


@pytest.mark.parametrize("path", [*GOLDEN, *BAD], ids=lambda path: path.stem)
def test_every_transcript_says_on_whose_word(path: Path) -> None:
    transcript = transcripts.read(path)
    assert transcript.evidence in {transcripts.LIVE, transcripts.PUBLISHED, "known bad"}
    assert transcript.evidence == transcripts.LIVE or transcript.head["sources"]
    assert (transcript.evidence == transcripts.LIVE) == ("live" in path.parts)


def test_a_transcript_is_not_edited_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "edited.jsonl"
    path.write_text(GOLDEN[0].read_text().replace("2026", "2027", 1))
    with pytest.raises(transcripts.BrokenTranscript):
        transcripts.read(path)


def test_what_is_recorded_can_be_read_and_repeated(mock: Emulated, tmp_path: Path) -> None:
    trace = asyncio.run(wire.run(catalogue()["broken-input"], mock))
    made = transcripts.record(trace, date="2026-01-01", evidence="test", secrets=(KEY_A,))
    transcripts.write([made], tmp_path)
    read = transcripts.read(tmp_path / "broken-input.jsonl")
    assert read.text() == made.text()
    assert asyncio.run(transcripts.replay(read, mock)) == []
    assert "127.0.0.1" not in made.text()


def test_a_changed_answer_is_a_difference(mock: Emulated) -> None:
    trace = asyncio.run(wire.run(catalogue()["cancel-unknown"], mock))
    made = transcripts.record(trace, date="2026-01-01", evidence="test", secrets=())
    made.lines[0]["body"]["status"] = "LOST"
    ((_, difference),) = asyncio.run(transcripts.replay(made, mock))
    assert difference.path == "body.status"


def test_a_secret_is_not_recorded(mock: Emulated) -> None:
    trace = asyncio.run(wire.run(catalogue()["cancel-unknown"], mock))
    with pytest.raises(LeakError):
        transcripts.record(trace, date="2026-01-01", evidence="test", secrets=(trace.exchanges[0].url[-20:],))
