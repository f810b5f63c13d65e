"""Options of the command line. Those of settings are made from `falmock.settings`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from falmock.protocol.limits import Limits
from falmock.settings import OPTIONS, Option, Settings, SettingsError, Span, flag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

STATE: Final = ".falmock"


def option(flag: str, text: str, **more: Any) -> Callable[[Any], Any]:
    """Decorate a command with an option that its FALMOCK_* variable sets too."""
    return click.option(flag, **_attributes(flag, text, **more))


def _attributes(flag: str, text: str, **more: Any) -> dict[str, Any]:
    variable = "FALMOCK_" + flag.removeprefix("--").upper().replace("-", "_")
    shown = not (more.get("default") is None or more.get("is_flag"))
    return {"help": text, "envvar": variable, "show_envvar": True, "show_default": shown} | more


def state_option(text: str) -> Callable[[Any], Any]:
    """Return `--state`, the state folder."""
    return option("--state", text, type=click.Path(path_type=Path), default=STATE, callback=_check_path)


def _check_path(ctx: click.Context, param: click.Parameter, value: Path) -> Path:
    """Refuse a path that the system does not take: one that is too long, or below a folder that is closed."""
    del ctx, param
    try:
        value.exists()
    except OSError as error:
        raise click.BadParameter(f"cannot use {value} ({error.strerror}): name another folder") from None
    return value


def command_argument(*, required: bool) -> Callable[[Any], Any]:
    """Return the argument for a program with its own arguments. A shell completes names of files."""
    return click.argument(
        "command",
        nargs=-1,
        required=required,
        type=click.UNPROCESSED,
        shell_complete=lambda _ctx, _param, incomplete: [CompletionItem(incomplete, type="file")],
    )


def settings_options(*, without: Collection[str] = ()) -> Callable[[Any], Any]:
    """Decorate a command with the options of all settings and limits, named as their fields, but `state`."""

    def decorate(command: Any) -> Any:
        for name, (setting, default) in reversed(OPTIONS.items()):
            if name not in without:
                command = _of_setting(name, setting, default)(command)
        return command

    return decorate


def _of_setting(name: str, setting: Option, default: Any) -> Callable[[Any], Any]:
    more: dict[str, Any]
    if isinstance(default, bool):
        negate = (lambda _ctx, _param, value: not value) if default else None
        more = {"is_flag": True, "default": False, "callback": negate}
    elif setting.repeated:
        more = {"multiple": True, "show_default": setting.unset}
    else:
        more = {"default": default, "show_default": setting.unset or True} | _type_of(setting, default)
    flag = flag_of(name)
    return click.option(flag, name, **_attributes(flag, setting.help, **more))


def _type_of(setting: Option, default: Any) -> dict[str, Any]:
    kind = setting.type or type(default)
    if kind is Span:
        return {"type": _span, "metavar": "SECONDS"}
    if kind is tuple:
        return {"type": _texts, "metavar": "LIST"}
    if setting.choices:
        return {"type": click.Choice(setting.choices)}
    if kind is str or (setting.least or 0) < 0:
        return {"type": kind}
    return {"type": click.IntRange(setting.least) if kind is int else click.FloatRange(setting.least)}  # type: ignore[arg-type]


def _span(value: Any) -> Span:
    try:
        return Span.parse(str(value))
    except SettingsError as error:
        raise click.BadParameter(str(error)) from None


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, tuple | list):
        return tuple(value)
    return tuple(filter(None, map(str.strip, value.split(","))))


def settings_of(state: Path | None, given: dict[str, Any]) -> Settings:
    """Return the settings that the options of `settings_options` were given."""
    names = {each.name for each in fields(Limits)}
    limits = Limits(**{name: value for name, value in given.items() if name in names})
    others = {name: value for name, value in given.items() if name not in names}
    return Settings(state=state, limits=limits, **others)
