"""Makes a program that shows something as short as it can be, by trying again without each of its parts.

Only for targets that are free to ask: what fal answered is never shrunk against fal.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from falcontract import agreement, wire
from falcontract.published import faults
from falcontract.steps import VALID_INPUT, VEO2
from falcontract.suite import AGREEMENT, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.steps import Program
    from falcontract.targets import Target

MOST_TRIES: Final = 400


def shrink(finding: Finding, target: Target) -> Finding:
    """Return a finding of the same property with the shortest program that was found."""
    return asyncio.run(_shrink(finding, target))


async def _shrink(finding: Finding, target: Target) -> Finding:
    tries = 0
    found = finding
    improved = True
    while improved and tries < MOST_TRIES:
        improved = False
        for smaller in filter(_makes_sense, _smaller(found.trace.program)):
            tries += 1
            if (again := await _shows(smaller, finding, target)) is not None:
                found, improved = again, True
                break
            if tries >= MOST_TRIES:
                break
    return found


async def _shows(program: Program, finding: Finding, target: Target) -> Finding | None:
    """Run a program and return what it shows of the same property, if it does."""
    try:
        trace = await wire.run(program, target)
    except KeyError:  # it speaks of what is no longer there
        return None
    if finding.property.id == AGREEMENT:
        await agreement.compare(trace, target, sorted({look.door for look in finding.trace.observations}))
    for one in finding.property.check(trace):
        if not one.holds:
            return Finding(finding.property, one, trace)
    return None


def _makes_sense(program: Program) -> bool:
    """Tell whether it asks only for jobs that it has submitted before."""
    submitted: set[str] = set()
    for step in program.steps:
        if step.do == "submit":
            submitted.add(step.job)
        elif step.job and step.job not in submitted:
            return False
    return True


def _smaller(program: Program) -> Iterator[Program]:
    """Yield simpler programs, the boldest first: halves, quarters, single steps, then simpler steps."""
    steps = program.steps
    size = len(steps) // 2
    while size:
        for start in range(0, len(steps), size):
            yield replace(program, steps=steps[:start] + steps[start + size :])
        size //= 2
    for name in program.setup:
        yield replace(program, setup={key: value for key, value in program.setup.items() if key != name})
    for n, step in enumerate(steps):
        plain: dict[str, Any] = {"times": 1, "headers": {}, "query": "", "webhook": "", "answers": (200,)}
        if step.do == "submit" and step.input is not None:
            plain |= {"input": VALID_INPUT if not faults(step.input) else {}, "endpoint": VEO2, "key": "a"}
        for name, value in plain.items():
            if getattr(step, name) != value:
                yield replace(program, steps=(*steps[:n], replace(step, **{name: value}), *steps[n + 1 :]))
