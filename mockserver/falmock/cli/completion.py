"""The command `completion`."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

SHELLS: Final = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
PROGRAMS: Final = ("falmock", "falqueue", "falcontract")


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print a script that completes commands in a shell: eval "$(falmock completion bash)".

    It is for falmock, falqueue and falcontract. In fish: falmock completion fish | source
    """
    for program in PROGRAMS:
        script = SHELLS[shell](click.Command(program), {}, program, f"_{program.upper()}_COMPLETE")
        click.echo(script.source())
