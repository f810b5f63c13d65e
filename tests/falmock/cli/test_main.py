"""The group `falmock`: its help, its start-up, and its errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from programs import falmock, one_line, run

from falmock.cli import main

FULL = Path("/dev/full")  # every write fails: no space left
HEAVY = {"httpx", "pydantic", "cryptography", "starlette", "uvicorn", "uvloop", "PIL", "logging"} | {
    "falmock.catalogue",
    "falmock.media",
}


def imported_by(*arguments: str, **environment: str) -> set[str]:
    """Return the modules that are loaded when a command has run."""
    program = f"""if True:
        import sys
        sys.argv = ["falmock", *{arguments!r}]
        from falmock.cli.main import main
        try:
            main()
        except SystemExit:
            print(*sys.modules, file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return set(done.stderr.split())


def test_ctrl_c_while_the_program_is_loaded_prints_no_traceback() -> None:
    program = """if True:
        import runpy, sys
        class Interrupted:
            def find_spec(name, *_):
                if name == "click":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupted)
        runpy.run_module("falmock", run_name="__main__")
    """

    ran = run(sys.executable, "-c", program)

    assert (ran.code, ran.err) == (130, "")


def test_help_describes_falmock_and_lists_the_commands() -> None:
    ran = falmock("--help")

    assert (ran.code, "offline emulator" in ran.out, "serve" in ran.out) == (0, True, True)


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(flag: str) -> None:
    assert imported_by(flag) & HEAVY == set()


def test_the_completion_of_a_command_name_imports_nothing_heavy() -> None:
    words = {"_FALMOCK_COMPLETE": "bash_complete", "COMP_WORDS": "falmock sc", "COMP_CWORD": "1"}

    assert imported_by(**words) & HEAVY == set()


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_list_of_commands_has_the_first_sentence_of_each_command(name: str) -> None:
    command = main.falmock.get_command(click.Context(main.falmock), name)

    assert command is not None
    assert command.name == name
    assert (command.help or "").replace("\n", " ").startswith(main.COMMANDS[name][1].rstrip("."))


def test_an_unknown_command_is_reported_in_one_line_with_the_nearest() -> None:
    assert one_line(falmock("srve")) == "falmock: No such command 'srve'. Did you mean 'serve'?"


def test_an_unknown_flag_among_the_commands_is_reported_in_one_line() -> None:
    assert "No such option '--prot'" in one_line(falmock("--prot"))


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_reported_in_one_line() -> None:
    with FULL.open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "falmock", "scenario", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (ran.returncode, ran.stderr) == (
        1,
        "falmock: cannot write the output: No space left on device\n",
    )


@pytest.mark.parametrize("group", [(), ("scenario",)])
def test_without_a_command_the_help_is_printed(group: tuple[str, ...]) -> None:
    ran = falmock(*group)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Usage: ")
    assert f"{' '.join(['falmock', *group])} [OPTIONS] COMMAND" in ran.err.splitlines()[0]
