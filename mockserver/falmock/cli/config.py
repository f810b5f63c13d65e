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
    """Return the file that has settings, if any, and its values by the name of the parameter.

    Raises:
        click.ClickException: the file is not TOML, or a key is not a flag.
    """
    for path in (folder / name for name in FILES):
        try:
            content = tomllib.loads(path.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise click.ClickException(f"cannot read {path}: {error}") from None
        if path.name == "pyproject.toml":
            content = content.get("tool", {}).get("falmock", {})
        if content:
            return path, _by_parameter(path, content)
    return None, {}


def _by_parameter(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    parameters = {flag_of(name).removeprefix("--"): name for name in OPTIONS} | OTHERS
    unknown = sorted(content.keys() - parameters.keys())
    if unknown:
        near = "".join(f", did you mean {each}?" for each in get_close_matches(unknown[0], parameters, 1))
        raise click.ClickException(f"{path} has an unknown setting: {unknown[0]}{near}")
    return {parameters[key]: _listed(parameters[key], value) for key, value in content.items()}


def _listed(name: str, value: Any) -> Any:
    """Return one value of a flag that may be given several times as a list."""
    return [value] if name in OPTIONS and OPTIONS[name][0].repeated and isinstance(value, str) else value


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
