"""Mutants are small and reversible, and a mutant that breaks instead of misbehaving is reported."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from falcontract import suite
from falcontract.mutation import runner
from falcontract.mutation.catalogue import MUTANTS
from falcontract.mutation.internals import keys, outcomes, webhooks
from falcontract.mutation.internals import runner as model_runner
from falcontract.mutation.patching import Mutant, Patch
from falcontract.mutation.runner import MutantResult
from falcontract.properties.catalogue import PROPERTIES
from falcontract.properties.claims import Claim

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from falcontract.properties.claims import Claims
    from falcontract.suite import PropertyResult
    from falcontract.traces import Trace


def test_there_are_at_least_310_mutants() -> None:
    assert len(MUTANTS) >= 310


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_a_mutant_describes_its_bug_and_can_be_removed(mutant: Mutant) -> None:
    assert mutant.bug.endswith(".")
    patch = Patch()
    mutant.apply(patch)
    attributes = [(owner, name, value) for owner, name, value in patch._undo if name]
    tables = [(owner, value) for owner, name, value in patch._undo if not name]
    assert attributes or tables
    patch.undo()
    assert all(owner.__dict__[name] is value for owner, name, value in attributes)
    assert all(owner == value for owner, value in tables)


def test_around_passes_the_original_function_and_all_arguments() -> None:
    class Owner:
        def method(self, first: int, *, second: int) -> int:
            return first + second

    patch = Patch()
    patch.around(Owner, "method", lambda original, *args, **kwargs: original(*args, **kwargs) * 10)
    assert Owner().method(1, second=2) == 30
    patch.undo()
    assert Owner().method(1, second=2) == 3


async def test_around_keeps_a_coroutine_function_a_coroutine_function(anyio_backend: str) -> None:
    async def original(value: int) -> int:
        return value

    async def doubled(original: Any, value: int) -> int:
        return int(await original(value)) * 2

    owner = SimpleNamespace(function=original)
    patch = Patch()
    patch.around(owner, "function", doubled)
    assert await owner.function(4) == 8
    patch.undo()
    assert await owner.function(4) == 4


@pytest.fixture
def run(renders: Path, tmp_path: Path, results: dict[str, PropertyResult]) -> Callable[..., MutantResult]:
    assert not any(result.findings for result in results.values())

    def run_one(name: str, *, full: bool = False) -> MutantResult:
        return runner.run_mutant(name, warm=renders, homes=tmp_path, full=full)

    return run_one


@pytest.mark.parametrize(
    ("name", "killer"), [("status-is-always-200", "P4"), ("timestamps-are-milliseconds", "P44")]
)
def test_a_mutant_is_killed_by_the_property_about_its_bug(
    name: str, killer: str, run: Callable[..., MutantResult]
) -> None:
    found = run(name)
    assert killer in found.killers
    assert found.killed


def test_all_properties_are_checked_on_request(run: Callable[..., MutantResult]) -> None:
    found = run("cancel-ends-another-job", full=True)
    assert {"P38", "P75"} < set(found.killers)
    assert found.complete


def plant(monkeypatch: pytest.MonkeyPatch, killer: str, mutant: Mutant) -> str:
    """Add a mutant to the catalogue, with the property that kills it."""
    monkeypatch.setitem(MUTANTS, mutant.name, mutant)
    monkeypatch.setattr(runner, "known_killers", lambda: {mutant.name: (killer,)})
    return mutant.name


def test_a_patch_with_an_outdated_signature_is_broken(
    run: Callable[..., MutantResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two mutants that this rule was made for: the emulator answered 500 to every call with a key."""

    def apply(patch: Patch) -> None:
        patch.around(keys.Keyring, "identify", lambda original, keyring, authorization: None)

    found = run(plant(monkeypatch, "P23", Mutant("planted", "A bug.", apply)))
    assert found.killers == ("P23",)
    assert any("answered 500" in reason for reason in found.broken)
    assert any("TypeError" in reason for reason in found.broken)
    assert not found.killed


def test_a_patch_that_fails_in_the_background_is_broken(
    run: Callable[..., MutantResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing answers 500 here: the emulator logs the exception of the delivery."""

    def apply(patch: Patch) -> None:
        patch.around(webhooks.Sender, "_post", lambda original, sender: None)

    found = run(plant(monkeypatch, "P42", Mutant("planted", "A bug.", apply)))
    assert found.killers == ("P42",)
    assert any(reason.startswith("log: ") for reason in found.broken)
    assert not found.killed


def test_a_mutant_whose_answers_a_check_cannot_read_is_broken(
    run: Callable[..., MutantResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(trace: Trace) -> Claims:
        yield Claim("any", holds=True, text="A claim.")
        raise KeyError("video")

    monkeypatch.setitem(PROPERTIES, "P26", replace(PROPERTIES["P26"], check=check))

    found = run("wrong-methods-have-no-allow")

    assert any(reason.startswith("P26: the check failed: KeyError('video')") for reason in found.broken)
    assert not found.killed


def test_an_unintended_500_is_broken_and_an_intended_one_is_not(
    run: Callable[..., MutantResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(patch: Patch) -> None:
        outcome = outcomes.Outcome(500, b'{"detail":"Internal Server Error"}')
        patch.around(model_runner.Runner, "prepare", lambda original, *args: outcome)

    unintended, intended = (
        run(plant(monkeypatch, "P14", Mutant("planted", "A bug.", apply, answers_500=answers_500)))
        for answers_500 in (False, True)
    )
    assert any("answered 500" in reason for reason in unintended.broken)
    assert not unintended.killed
    assert intended.killed


def test_the_known_killers_name_every_mutant_and_every_property() -> None:
    assert runner.known_killers().keys() == MUTANTS.keys()
    named = {p for killers in runner.known_killers().values() for p in killers}
    assert named == {p.id for p in suite.select_properties()}


def test_other_properties_are_checked_if_the_known_killers_do_not_kill(
    run: Callable[..., MutantResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "known_killers", lambda: {"early-result-has-no-url": ("P19", "P20")})
    found = run("early-result-has-no-url")
    assert "P10" in found.killers
    assert found.complete


def test_no_other_property_is_checked_if_a_known_killer_kills(run: Callable[..., MutantResult]) -> None:
    found = run("wrong-methods-have-no-allow")
    assert found.killers == ("P26",)
    assert not found.complete


def test_the_matrix_shows_survivors_and_broken_mutants() -> None:
    rows = [MutantResult("a", ("P1",), ()), MutantResult("b", (), ()), MutantResult("c", ("P1",), ("why",))]
    assert runner.matrix(rows).splitlines() == ["a  killed by P1", "b  SURVIVES", "c  BROKEN P1"]


def test_a_property_that_kills_no_working_mutant_is_useless() -> None:
    rows = [MutantResult("a", ("P1", "P2"), ()), MutantResult("b", ("P3",), ("why",))]
    useless = runner.useless(rows)
    assert "P3" in useless
    assert not {"P1", "P2"} & set(useless)
