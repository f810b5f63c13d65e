"""Shrinks a program that shows a finding. It runs many programs, so it is for offline targets only."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from falcontract.clients import agreement
from falcontract.model.published import input_errors
from falcontract.steps import VALID_INPUT, VEO2, wait
from falcontract.suite import AGREEMENT, Finding
from falcontract.targets import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.steps import Program
    from falcontract.targets.base import Target

MOST_TRIES: Final = 400


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
    """Run a program; return a finding of the same property, if it has one."""
    try:
        trace = await wire.run(program, target)
    except KeyError:  # a placeholder in a path refers to a removed job
        return None
    if finding.property.id == AGREEMENT:
        await agreement.compare(trace, target, sorted({seen.client for seen in finding.trace.observations}))
    for claim in finding.property.check(trace):
        if not claim.holds:
            return Finding(finding.property, claim, trace)
    return None


def _is_consistent(program: Program) -> bool:
    """Return whether every step is about a job that was submitted before."""
    submitted: set[str] = set()
    for step in program.steps:
        if step.do == "submit":
            submitted.add(step.job)
        elif step.job and step.job not in submitted:
            return False
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
            given = {} if input_errors(step.input) else VALID_INPUT
            plain |= {"input": given, "endpoint": VEO2, "key": "a"}
        for name, value in plain.items():
            if getattr(step, name) != value:
                yield replace(program, steps=(*steps[:n], replace(step, **{name: value}), *steps[n + 1 :]))
