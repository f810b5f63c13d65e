"""Flags, variables and the table of the page: all of them follow from `Settings`."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from falmock.cli.options import settings_of, settings_options
from falmock.cli.run import LONG_RUNNING, run
from falmock.cli.serve import serve
from falmock.protocol.limits import Limits
from falmock.settings import OPTIONS, Settings, Span, flag_of

PAGE = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
SPECIAL = {"state", "limits"}  # fields that are not one flag each


def read(*arguments: str, **environment: str) -> Settings:
    """Return the settings that flags and variables give."""
    found: list[Settings] = []

    @click.command()
    @settings_options()
    def command(**given: Any) -> None:
        found.append(settings_of(None, given))

    done = CliRunner().invoke(command, arguments, env=environment, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return found[0]


EXAMPLES = {
    "seed": ("7", 7),
    "time_scale": ("0.5", 0.5),
    "queue_seconds": ("1-2", Span(1, 2)),
    "run_seconds": ("3", Span(3, 3)),
    "run_timeout": ("2", 2.0),
    "keys": ("a:b,c:d", ("a:b", "c:d")),
    "auth": ("1", False),
    "locked": ("a, b", ("a", "b")),
    "media": ("plain", "plain"),
    "ffmpeg": ("/usr/bin/ffmpeg", "/usr/bin/ffmpeg"),
    "fetch": ("1", True),
    "webhooks": ("any", "any"),
    "sealed": ("1", True),
    "hostnames": ("falmock.internal", ("falmock.internal",)),
    "media_urls": ("fal", "fal"),
    "cancel": ("honoured", "honoured"),
    "flat_logs": ("1", True),
    "public_url": ("http://falmock:8787", "http://falmock:8787"),
    "lenient_paths": ("1", True),
    "expose_headers": ("1", True),
    "allow_origins": ("https://app.example", ("https://app.example",)),
    "trusted_proxies": ("10.0.0.0/8", ("10.0.0.0/8",)),
    "control_token": ("a-secret-of-mine", "a-secret-of-mine"),
    "decode_memory": ("1048576", 1_048_576),
    "models": ("models", ("models",)),
    "unknown_models": ("generic", "generic"),
    "scenarios": ("rush-hour", ("rush-hour",)),
}
VALUES = [(name, *EXAMPLES.get(name, ("3", 3))) for name in OPTIONS]


def test_every_setting_has_an_option() -> None:
    names = {each.name for each in (*fields(Settings), *fields(Limits))}

    assert set(OPTIONS) == names - SPECIAL


def test_without_flags_the_settings_have_their_defaults() -> None:
    assert read() == Settings()


@pytest.mark.parametrize(("name", "text", "value"), VALUES, ids=list(OPTIONS))
def test_a_flag_sets_its_setting(name: str, text: str, value: object) -> None:
    settings = read(flag_of(name), *([] if isinstance(OPTIONS[name][1], bool) else [text]))

    assert getattr(settings if hasattr(settings, name) else settings.limits, name) == value


@pytest.mark.parametrize(("name", "text", "value"), VALUES, ids=list(OPTIONS))
def test_a_variable_sets_its_setting(name: str, text: str, value: object) -> None:
    variable = "FALMOCK_" + flag_of(name)[2:].upper().replace("-", "_")
    settings = read(**{variable: text})

    assert getattr(settings if hasattr(settings, name) else settings.limits, name) == value


@pytest.mark.parametrize("command", [serve, run])
def test_every_flag_has_a_sentence_and_a_variable(command: click.Command) -> None:
    options = [each for each in command.params if isinstance(each, click.Option)]

    assert [each.name for each in options if not (each.help or "").endswith(".")] == []
    assert [
        each.name
        for each in options
        if each.envvar != f"FALMOCK_{each.opts[0][2:].upper()}".replace("-", "_")
    ] == []


def test_run_has_the_settings_of_serve_but_those_of_a_long_running_server() -> None:
    names = {each.name for each in run.params}

    assert set(OPTIONS) - names == set(LONG_RUNNING)


def shown(option: click.Option) -> str:
    """Return the default of an option as the page shows it."""
    if isinstance(option.show_default, str):
        return option.show_default
    default = f"{option.default:.10g}" if isinstance(option.default, float) else option.default
    return "" if option.is_flag else f"`{default}`"


def test_the_table_of_the_settings_page_is_that_of_the_flags() -> None:
    rows = [
        f"| `{each.opts[0]}` | {shown(each)} | {each.help} |"
        for each in serve.params
        if isinstance(each, click.Option)
    ]

    assert re.findall(r"^\| `--[a-z-]+` \|.*$", PAGE, re.MULTILINE) == rows
