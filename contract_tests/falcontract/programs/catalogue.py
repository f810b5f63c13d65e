"""All programs, by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from falcontract.topics import modules_of

if TYPE_CHECKING:
    from falcontract.steps import Program


@cache
def catalogue() -> dict[str, Program]:
    return {program.name: program for topic in modules_of("programs") for program in topic.programs()}
