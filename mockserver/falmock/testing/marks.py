"""The arguments of the mark `falmock`: settings of the emulator for one test."""

from __future__ import annotations

from dataclasses import fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from falmock.faults import scenarios
from falmock.faults.vocabulary import ScenarioError
from falmock.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


class MarkError(ValueError):
    """A mark has wrong arguments. The text is one line and says what to do."""


def read(
    marks: Iterable[pytest.Mark], settings: Settings, switches: dict[str, bool]
) -> tuple[Settings, dict[str, bool]]:
    """Return the settings of a test, and its switches: the other arguments. A later mark wins.

    `settings` and `switches` are those of tests without marks.

    Raises:
        MarkError: an argument is unknown, has a wrong type, or an impossible value.
    """
    given: dict[str, Any] = {}
    for mark in marks:
        if mark.args:
            raise MarkError("its arguments have names, as in falmock(media='animate')")
        given |= mark.kwargs
    types = _types() | dict.fromkeys(switches, bool)
    checked = {name: _checked(name, value, types) for name, value in given.items()}
    switches = {name: checked.pop(name, usual) for name, usual in switches.items()}
    try:
        settings = replace(settings, **checked)
        for name in checked.get("scenarios", ()):
            scenarios.find(name)
    except (SettingsError, ScenarioError) as error:
        raise MarkError(str(error)) from None
    return settings, switches


def _checked(name: str, value: Any, types: dict[str, Any]) -> Any:
    if name not in types:
        near = "".join(f", did you mean {each}?" for each in get_close_matches(name, types, 1))
        raise MarkError(f"there is no setting {name}{near}")
    if isinstance(value, list):
        value = tuple(value)
    try:
        return TypeAdapter(types[name]).validate_python(value, strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]
        # Other values may be keys.
        what = repr(value) if wrong["type"] == "literal_error" else type(value).__name__
        raise MarkError(f"{name}: {wrong['msg'].removeprefix('Input ')}, not {what}") from None


@cache
def _types() -> dict[str, Any]:
    hints = get_type_hints(Settings, localns={"Path": Path})
    return {each.name: hints[each.name] for each in fields(Settings)}
