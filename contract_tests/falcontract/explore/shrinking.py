"""Shrinks a program that shows a finding. It runs many programs, so it is for offline targets only."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from falcontract.clients import agreement
from falcontract.model.fields import errors
from falcontract.model.models import MODELS
from falcontract.steps import VALID_INPUT, VEO2, wait
from falcontract.suite import AGREEMENT, Finding, clients_of
from falcontract.targets import wire
from falcontract.traces import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.properties.claims import Claim
    from falcontract.steps import Program
    from falcontract.targets.base import Target

MOST_TRIES: Final = 400
SHOWN: Final = 3  # items of a list that its form has


def shrink(finding: Finding, target: Target) -> Finding:
    return asyncio.run(_shrink(finding, target))


async def _shrink(finding: Finding, target: Target) -> Finding:
    tries = 0
    found = finding
    improved = True
    while improved and tries < MOST_TRIES:
        improved = False
        for smaller in filter(_is_consistent, _smaller(found.trace.program)):
            tries += 1
            if (again := await _reproduce(smaller, finding, target)) is not None:
                found, improved = again, True
                break
            if tries >= MOST_TRIES:
                break
    return found


async def _reproduce(program: Program, finding: Finding, target: Target) -> Finding | None:
    """Run a program; return the same finding, if it has it."""
    try:
        trace = await wire.run(program, target)
    except KeyError:  # a placeholder in a path refers to a removed job
        return None
    if finding.property.id == AGREEMENT:
        await agreement.compare(trace, target, clients_of(finding.trace))
    for claim in finding.property.check(trace):
        if not claim.holds and _kind(claim) == _kind(finding.claim):
            smaller = Finding(finding.property, claim, trace)
            return smaller if _waits(smaller) == _waits(finding) else None
    return None


def _waits(finding: Finding) -> tuple[float, int]:
    """Return the seconds and polls up to the call of a claim, or all if that call may come later.

    Without them a healthy target contradicts the rule too: it had no time.
    """
    at = finding.claim.at
    end = at.index if isinstance(at, Exchange) and at.step.do != "submit" else None
    before = finding.trace.program.steps[:end]
    polls = sum(step.do == "until" for step in before)
    return sum(step.seconds for step in before if step.do == "wait"), polls


def _kind(claim: Claim) -> tuple[str, str, str, str]:
    """Return what stays the same while a program shrinks: the rule that is broken, and how.

    Numbers and names of jobs in the text change with the program.
    """
    text = re.sub(r"\d+(?:\.\d+)?|\b[A-Z]\d*\b", "_", claim.text)
    return claim.key, text, _form(claim.expected), _form(claim.found)


def _form(value: Any) -> str:
    """Return the form of a value: the words of a text, the names of an object, the type of a number."""
    if isinstance(value, str):
        return "text" if re.search(r"\d", value) else value
    if isinstance(value, dict):
        return str(sorted(value))
    if isinstance(value, list | tuple):
        return str([_form(item) for item in value[:SHOWN]])
    if value is None or isinstance(value, bool):
        return str(value)
    return type(value).__name__


def _is_consistent(program: Program) -> bool:
    """Return whether every step is about jobs and saved answers of steps before it."""
    known: set[str] = set()
    for step in program.steps:
        if step.do == "submit":
            known.add(step.job)
        elif step.job and step.job not in known:
            return False
        if not step.references() - {"receivers"} <= known:
            return False
        known |= {step.save} if step.save else set()
    return True


def _smaller(program: Program) -> Iterator[Program]:
    """Yield simpler programs: with fewer steps (half, a quarter, ... one), merged waits, simpler steps."""
    steps = program.steps
    size = len(steps) // 2
    while size:
        for start in range(0, len(steps), size):
            yield replace(program, steps=steps[:start] + steps[start + size :])
        size //= 2
    for n, (step, after) in enumerate(pairwise(steps)):
        if step.do == after.do == "wait":
            yield replace(program, steps=(*steps[:n], wait(step.seconds + after.seconds), *steps[n + 2 :]))
    for name in program.setup:
        yield replace(program, setup={key: value for key, value in program.setup.items() if key != name})
    for n, step in enumerate(steps):
        plain: dict[str, Any] = {"times": 1, "headers": {}, "query": "", "webhook": "", "answers": (200,)}
        if step.do == "submit" and step.input is not None:
            model = MODELS.get(step.endpoint, MODELS[VEO2])
            given = {} if errors(model, step.input) else VALID_INPUT
            plain |= {"input": given, "endpoint": VEO2, "key": "a"}
        for name, value in plain.items():
            if getattr(step, name) != value:
                yield replace(program, steps=(*steps[:n], replace(step, **{name: value}), *steps[n + 1 :]))
