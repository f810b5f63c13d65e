"""Published transcripts agree with properties and emulator; known bad ones do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from falcontract.live import transcripts
from falcontract.live.scrubbing import LeakError
from falcontract.model import automaton
from falcontract.programs.catalogue import catalogue
from falcontract.properties import catalogue as properties
from falcontract.targets import wire
from falcontract.targets.base import KEY_A

if TYPE_CHECKING:
    from falcontract.targets.emulated import Emulated

FOLDER = Path(__file__).parents[2] / "fixtures"
GOLDEN = sorted((FOLDER / "transcripts").glob("**/*.jsonl"))
BAD = sorted((FOLDER / "bad").glob("*.jsonl"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_published_transcript_violates_no_property(path: Path) -> None:
    trace = transcripts.read(path).trace()
    assert [problem for problem, _ in automaton.judgements(trace) if problem] == []
    wrong = [
        (p.id, one)
        for p in properties.catalogue()
        if p.applies_to(trace)
        for one in p.check(trace)
        if not one.holds
    ]
    assert wrong == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_emulator_repeats_a_published_transcript(path: Path, mock: Emulated) -> None:
    transcript = transcripts.read(path)
    if reason := transcript.head.get("unreplayable"):
        assert reason.startswith("needs ")  # an ability that no emulator run has
    else:
        assert [str(d) for _, d in asyncio.run(transcripts.replay(transcript, mock))] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_known_bad_transcript_is_rejected_by_the_properties_that_it_names(path: Path) -> None:
    transcript = transcripts.read(path)
    trace = transcript.trace()
    for name in transcript.head["rejected_by"]:
        p = properties.PROPERTIES[name]
        assert p.applies_to(trace)
        assert any(not one.holds for one in p.check(trace)), f"{name} accepts it"


@pytest.mark.parametrize("path", [*GOLDEN, *BAD], ids=lambda path: path.stem)
def test_every_transcript_names_its_evidence(path: Path) -> None:
    transcript = transcripts.read(path)
    assert transcript.evidence in {transcripts.LIVE, transcripts.PUBLISHED, "known bad"}
    assert transcript.evidence == transcripts.LIVE or transcript.head["sources"]
    assert (transcript.evidence == transcripts.LIVE) == ("live" in path.parts)


def test_an_edited_transcript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edited.jsonl"
    path.write_text(GOLDEN[0].read_text().replace("published", "live", 1))
    with pytest.raises(transcripts.BrokenTranscript):
        transcripts.read(path)


def test_a_recorded_transcript_can_be_read_and_replayed(mock: Emulated, tmp_path: Path) -> None:
    trace = asyncio.run(wire.run(catalogue()["broken-input"], mock))
    made = transcripts.record(trace, date="2026-01-01", evidence="test", secrets=(KEY_A,))
    transcripts.write([made], tmp_path)
    read = transcripts.read(tmp_path / "broken-input.jsonl")
    assert read.text() == made.text()
    assert asyncio.run(transcripts.replay(read, mock)) == []
    assert "127.0.0.1" not in made.text()


def test_a_replay_reports_a_changed_answer(mock: Emulated) -> None:
    trace = asyncio.run(wire.run(catalogue()["cancel-unknown"], mock))
    made = transcripts.record(trace, date="2026-01-01", evidence="test", secrets=())
    made.lines[0]["body"]["status"] = "LOST"
    ((_, difference),) = asyncio.run(transcripts.replay(made, mock))
    assert difference.path == "body.status"


def test_a_trace_with_a_secret_is_not_recorded(mock: Emulated) -> None:
    trace = asyncio.run(wire.run(catalogue()["cancel-unknown"], mock))
    with pytest.raises(LeakError):
        transcripts.record(trace, date="2026-01-01", evidence="test", secrets=(trace.exchanges[0].url[-20:],))
