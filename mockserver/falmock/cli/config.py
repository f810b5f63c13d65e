"""Settings from the current folder: `falmock.toml`, or the table `tool.falmock` of `pyproject.toml`.

Its keys are the flags of `falmock serve` without the hyphens in front. A flag or a variable wins over it.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from falmock.cli.options import settings_options, state_option
from falmock.settings import OPTIONS, flag_of

FILES: Final = ("falmock.toml", "pyproject.toml")
# Options of commands that are not settings: by key, the parameter of the command.
OTHERS: Final = {
    name.replace("_", "-"): name
    for name in ("host", "port", "tls_port", "proxy_port", "state", "ephemeral", "log_format", "log_level")
}
SECRET: Final = ("keys", "control_token")
SOURCES: Final = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "variable",
    ParameterSource.DEFAULT: "default",
}


def read(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the file that has settings, if any, and its values by the name of the parameter."""
    for path in (folder / name for name in FILES):
        try:
            content = tomllib.loads(path.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise click.ClickException(f"cannot read {path}: {error}") from None
        if path.name == "pyproject.toml":
            content = _table(path, _table(path, content, "tool"), "falmock")
        if content:
            return path, _by_parameter(path, content)
    return None, {}


def _table(path: Path, content: dict[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise click.ClickException(f"{path}: {name} is not a table")
    return found


def _by_parameter(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    parameters = {flag_of(name).removeprefix("--"): name for name in OPTIONS} | OTHERS
    unknown = sorted(content.keys() - parameters.keys())
    if unknown:
        near = "".join(f", did you mean {each}?" for each in get_close_matches(unknown[0], parameters, 1))
        raise click.ClickException(f"{path} has an unknown setting: {unknown[0]}{near}")
    return {
        parameters[key]: _value(f"{path}: {key}", parameters[key], value) for key, value in content.items()
    }


def _value(place: str, name: str, value: Any) -> Any:
    """Return a value as flags have it: true or false, a text, or a list of texts."""
    option, default = OPTIONS.get(name, (None, None))
    is_list = option is not None and (option.repeated or tuple in {option.type, type(default)})
    members = value if isinstance(value, list) and is_list else [value]
    is_flag = isinstance(default, bool) or name == "ephemeral"
    expected = bool if is_flag else str | int | float
    if any(not isinstance(each, expected) or isinstance(each, bool) != is_flag for each in members):
        kind = "true or false" if is_flag else "a text or a number"
        raise click.ClickException(f"{place} takes {kind}{', or a list of these' if is_list else ''}")
    if is_flag:
        return value
    texts = [str(each) for each in members]
    if any("\0" in text for text in texts):
        raise click.ClickException(f"{place} has the character NUL, which nothing here can have")
    return texts if isinstance(value, list) or (option is not None and option.repeated) else texts[0]


@click.group()
def config() -> None:
    """Show the settings in force."""


@config.command()
@state_option("Folder that keeps requests, files and keys across restarts.")
@settings_options()
def show(**given: Any) -> None:
    """Print each setting with its value and where it comes from."""
    path, _ = read(Path())
    source = click.get_current_context().get_parameter_source
    flags = {"state": "--state", **{name: flag_of(name) for name in OPTIONS}}
    width = max(map(len, flags.values()))
    for name, flag in flags.items():
        value = "***" if name in SECRET and given[name] else given[name]
        if name in OPTIONS and OPTIONS[name][1] is True:
            value = not value  # the flag turns it off
        origin = source(name)
        click.echo(f"{flag:{width}}  {_text(value)}  ({SOURCES.get(origin, path) if origin else path})")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "not set" if value is None else str(value)
