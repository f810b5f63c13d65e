"""Scenarios: the presets that ship with falmock, and TOML files."""

from __future__ import annotations

import json
import os
import tomllib
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from falmock.faults.rules import Scenario
from falmock.faults.vocabulary import ScenarioError
from falmock.protocol import bodies


def find(name: str) -> Scenario:
    """Return a scenario by the name of a preset or the path of a TOML file.

    Raises:
        ScenarioError: the name is unknown, or the file invalid.
    """
    preset = presets().get(name)
    if preset is not None:
        return preset
    path = Path(name)
    if not os.path.isfile(path):  # noqa: PTH113 - `Path.is_file` raises for a name that is too long
        near = "".join(f" (did you mean {each!r}?)" for each in get_close_matches(name, presets(), 1))
        raise ScenarioError(
            f"there is no scenario {name!r}{near}: name a TOML file or one of {', '.join(presets())}"
        )
    return read(path.read_text(encoding="utf-8", errors="replace"), name=path.stem, where=name)


def read(text: str, *, name: str, where: str) -> Scenario:
    """Parse a scenario from TOML. It has the given name, unless the text has one; errors say where it is.

    Raises:
        ScenarioError: the text is no valid scenario.
    """
    try:
        parsed = tomllib.loads(text)
        bodies.measure(json.dumps(parsed, default=str).encode())
        return Scenario.model_validate({"name": name, **parsed})
    except RecursionError:
        raise ScenarioError(f"{where} is nested too deep") from None
    except ValidationError as invalid:
        first = invalid.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ScenarioError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:  # no TOML, over the limits, or a number with more digits than Python reads
        raise ScenarioError(f"{where} is not TOML: {error}") from None


def text(scenario: Scenario) -> str:
    """Return a scenario as the TOML that `read` parses."""
    about = scenario.model_dump(include={"name", "teaches"}, exclude_defaults=True)
    rules = [rule.model_dump(exclude_defaults=True) for rule in scenario.rules]
    return "\n".join([_members(about), *(f"[[rules]]\n{_members(rule)}" for rule in rules)])


def _members(table: dict[str, Any]) -> str:
    return "".join(f"{name} = {_value(value)}\n" for name, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_value(name)} = {_value(each)}' for name, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # as TOML wants it


@cache
def presets() -> dict[str, Scenario]:
    folder = resources.files("falmock") / "presets"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    named = ((file.name.removesuffix(".toml"), file) for file in files)
    return {name: read(file.read_text(encoding="utf-8"), name=name, where=file.name) for name, file in named}
