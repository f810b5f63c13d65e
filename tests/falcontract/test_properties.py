"""The catalogue of properties is complete, and the emulator has all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from falcontract import suite
from falcontract.live import planning
from falcontract.model.models import ALL
from falcontract.programs.catalogue import catalogue as all_programs
from falcontract.properties.catalogue import PROPERTIES, catalogue
from falcontract.properties.claims import Claim
from falcontract.steps import VALID_INPUT, VEO2, Program, Step, result, status, submit
from falcontract.traces import Exchange, Trace

if TYPE_CHECKING:
    from falcontract.model.models import Model
    from falcontract.properties.claims import Claims, Property
    from falcontract.suite import PropertyResult
    from falcontract.targets.emulated import Emulated

EVERY = catalogue()
PROGRAMS = all_programs()
by_id = pytest.mark.parametrize("p", EVERY, ids=lambda p: p.id)


def test_property_ids_have_no_gap() -> None:
    assert [p.id for p in EVERY] == [f"P{n}" for n in range(1, 119)]


@by_id
def test_a_property_has_a_title_evidence_and_programs(p: Property) -> None:
    assert p.title
    assert p.evidence
    assert p.programs
    assert set(p.programs) <= PROGRAMS.keys()


@by_id
def test_the_emulator_has_the_property(p: Property, results: dict[str, PropertyResult]) -> None:
    found = results[p.id]
    assert [f"{f.trace.program.name}: {f.claim.text}, {f.claim.found!r}" for f in found.findings] == []
    assert found.claims


@by_id
def test_a_property_claims_something_in_each_of_its_programs(p: Property, traces: list[Trace]) -> None:
    silent = [t.program.name for t in traces if t.program.name in p.programs and not list(p.check(t))]
    assert silent == []


@by_id
def test_no_property_branches_on_the_name_of_a_program(p: Property, traces: list[Trace]) -> None:
    """A renamed program yields the same claims."""
    for trace in traces:
        if trace.program.name in p.programs:
            before = [(claim.key, claim.holds) for claim in p.check(trace)]
            name, trace.program = trace.program.name, renamed(trace.program, "another name")
            after = [(claim.key, claim.holds) for claim in p.check(trace)]
            trace.program = renamed(trace.program, name)
            assert after == before


def renamed(program: Program, name: str) -> Program:
    return Program(name=name, steps=program.steps, setup=program.setup, tier=program.tier)


@by_id
def test_a_property_claims_something_for_each_model_that_it_names(p: Property, traces: list[Trace]) -> None:
    for model in set(p.models) - {VEO2}:  # the other properties name the video model
        of_model = [t for t in traces if any(step.endpoint == model for step in t.program.steps)]
        assert [t for t in of_model if p.applies_to(t) and list(p.check(t))], model


def test_every_model_has_properties_of_its_output_and_of_its_input() -> None:
    for model in ALL:
        own = {p.id for p in EVERY if model.endpoint in p.models and not p.general}
        assert {"P14", "P15", "P77"} < own
        assert own & {"P12", *(f"P{number}" for number in range(107, 119))}


def test_models_cover_different_media() -> None:
    assert {model.medium for model in ALL} == {"video", "image", "audio", "text", "mesh"}
    assert PROPERTIES["P4"].holds_for == "all 10 models"
    assert PROPERTIES["P112"].holds_for == "kling-2.5, kling-2.6"


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.short)
def test_the_tier_of_a_program_covers_what_its_jobs_cost_at_worst(model: Model) -> None:
    programs = [
        one for one in PROGRAMS.values() if any(step.endpoint == model.endpoint for step in one.steps)
    ]
    named = [one for one in programs if one.name.endswith(model.short)]
    assert len(named) == (2 if model.endpoint == VEO2 else 3)
    for one in named:
        usd = model.worst_usd * sum(step.do == "submit" for step in one.steps)
        assert one.tier == (4 if usd <= 0.05 else 5)


def test_no_program_of_another_model_is_in_the_plan_for_fal() -> None:
    assert not [name for name in planning.read() if name.startswith(("run-", "fields-", "bounds-"))]


def test_every_program_is_used_by_a_property() -> None:
    assert {name for p in EVERY for name in p.programs} == PROGRAMS.keys()


@by_id
def test_a_property_claims_nothing_about_an_empty_trace(p: Property) -> None:
    assert list(p.check(Trace(Program(name="empty", steps=()), exact_time=True, ended=True))) == []


@by_id
def test_a_check_does_not_fail_on_unusable_answers(p: Property) -> None:
    for body in (b"", b"[]", b"null", b'"x"', b"\xff"):
        for name in p.programs:
            program = PROGRAMS[name]
            trace = Trace(program, known_jobs={"A": "x", "B": "y"})
            for index, step in enumerate(program.steps):
                if step.do not in {"wait", "lock"}:
                    e = Exchange(step, index, 0.0, "GET", "http://x/y", status=200, body=body)
                    trace.exchanges.append(e)
            list(p.check(trace))


def test_answers_that_a_check_cannot_read_are_a_finding() -> None:
    def check(trace: Trace) -> Claims:
        yield Claim("first", holds=True, text="The first claim holds.")
        raise KeyError("video")

    trace = Trace(Program(name="any", steps=()))
    found = suite.judge_property(replace(PROPERTIES["P1"], programs=("any",), check=check), [trace])

    assert (found.claims, [one.claim.text for one in found.findings]) == (
        1,
        ["the check failed: KeyError('video')"],
    )


def test_a_property_that_needs_more_abilities_is_skipped_and_names_them(mock: Emulated) -> None:
    class Plain:
        name, abilities, open = "plain", frozenset[str](), mock.open

    found = suite.judge(suite.select_properties(["P44", "P24", "P1"]), [], Plain())
    assert [sorted(one.missing) for one in found] == [["receive"], ["second-key"], []]


def test_properties_are_selected_by_id_in_any_case() -> None:
    assert [p.id for p in suite.select_properties(["p17", "P1"])] == ["P17", "P1"]


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(KeyError):
        suite.select_properties(["P999"])


def test_a_tier_leaves_out_more_expensive_properties_and_programs() -> None:
    assert {p.tier for p in suite.select_properties(tier=1)} == {0, 1}
    assert all(program.tier <= 1 for program in suite.programs_for(EVERY, 1))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)
def test_a_program_survives_a_round_trip_through_json(program: Program) -> None:
    assert Program.from_json(json.loads(json.dumps(program.as_json()))) == program


def test_a_step_with_an_unknown_member_is_refused() -> None:
    with pytest.raises(TypeError):
        Step.from_json(submit().as_json() | {"colour": "red"})


def finished(submitted: Step, output: object, **headers: str) -> Trace:
    """Return the trace of one job with its output."""
    steps = (submitted, status(), result())
    trace = Trace(Program(name="lifecycle", steps=steps))
    bodies = ({"request_id": "x", "status": "IN_QUEUE"}, {"status": "COMPLETED"}, output)
    for index, (step, body) in enumerate(zip(steps, bodies, strict=True)):
        text = json.dumps(body).encode()
        trace.exchanges.append(
            Exchange(step, index, float(index), "GET", "http://x/", status=200, headers=headers, body=text)
        )
    return trace


def test_p12_applies_to_the_video_model_only() -> None:
    """The plan for fal also runs a cheaper model, which makes images."""
    check = PROPERTIES["P12"].check
    images: dict[str, list[str]] = {"images": []}
    assert list(check(finished(submit(endpoint="fal-ai/flux/schnell", given={"prompt": "x"}), images))) == []
    assert any(not claim.holds for claim in check(finished(submit(given=VALID_INPUT), images)))


def test_p31_requires_all_lines_of_an_exact_target_and_accepts_a_window_elsewhere() -> None:
    line = [{"timestamp": "2026-01-01T00:00:00Z", "message": str(n)} for n in range(4)]
    steps = (submit(), status(query="logs=1"), status(query="logs=1"))
    bodies = ({"request_id": "x"}, {"status": "IN_PROGRESS", "logs": line[:3]}, {"logs": line[1:]})
    for exact_time in (True, False):
        trace = Trace(Program(name="logs", steps=steps), exact_time=exact_time)
        for index, (step, body) in enumerate(zip(steps, bodies, strict=True)):
            text = json.dumps(body).encode()
            trace.exchanges.append(Exchange(step, index, 0.0, "GET", "http://x/", status=200, body=text))
        grows = [claim.holds for claim in PROPERTIES["P31"].check(trace) if claim.key == "grows"]
        assert grows == [not exact_time]
