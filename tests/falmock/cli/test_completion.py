"""Completion of commands in bash, zsh and fish, by the script that `falmock completion` prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from programs import falmock, one_line, run, tool

PROGRAMS = str(Path(sys.executable).parent)
# By shell: a program that takes a script and the words of a command line, and prints what completes the last.
COMPLETE = {
    "bash": """
        eval "$1"
        COMP_WORDS=("${@:2}")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        function=$(complete -p "$2" | sed -E 's/.*-F (\\S+) .*/\\1/')
        $function "$2"
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        compdef() { functions[completed_by_$2]=$functions[$1] }
        _describe() { print -l -- ${${(P)3}%%:*} }
        compadd() { print -l -- ${(P)5} }
        eval "$1"
        words=("${@:2}")
        CURRENT=${#words}
        completed_by_$2
    """,
    "fish": """
        printf '%s' $argv[1] | source
        complete --do-complete "$argv[2..]" | string split --fields 1 (printf '\\t')
    """,
}


def completed(shell: str, *words: str) -> list[str]:
    """Return the completions that a shell offers for the last word of a command line."""
    script = falmock("completion", shell).out
    flags = {"bash": ("--norc", "-c"), "zsh": ("-f", "-c"), "fish": ("--no-config", "-c")}[shell]
    name = () if shell == "fish" else (shell,)
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    ran = run(tool(shell), *flags, COMPLETE[shell], *name, script, *words, PATH=path)
    return ran.out.split()


@pytest.mark.parametrize("shell", COMPLETE)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("falmock", "sc"), ["scenario"]),
        (("falmock", "run", "--str"), ["--strict"]),
        (("falqueue", "gen"), ["generate"]),
        (("falcontract", "run", "--pro"), ["--property", "--profile"]),
    ],
    ids=" ".join,
)
def test_a_shell_completes_commands_and_flags(shell: str, words: tuple[str, ...], offered: list[str]) -> None:
    assert sorted(completed(shell, *words)) == sorted(offered)


def test_an_unknown_shell_is_reported_in_one_line() -> None:
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in one_line(falmock("completion", "tcsh"))
