"""The command `falmock`. A subcommand's module is imported when the command is called, not for `--help`."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from falmock import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXIT_UNWRITTEN: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

# By name: where the subcommand is, and the first line of its help.
COMMANDS: Final = {
    "browser": ("browser:browser", "Open a page that calls fal's hosts itself."),
    "clock": ("inspect:clock", "Reset the clock of a running emulator."),
    "completion": ("completion:completion", "Print a script that completes commands in a shell."),
    "config": ("config:config", "Show the settings in force."),
    "doctor": ("doctor:doctor", "Check this machine, or which calls of a program reach the emulator."),
    "env": ("inspect:env", "Print the environment variables that lead programs to the emulator."),
    "journal": ("inspect:journal", "Print the journal: calls, steps of requests, attempts at webhooks."),
    "ledger": ("inspect:ledger", "Print what all requests would have cost at fal's list prices."),
    "lint": ("inspect:lint", "Check an application for mistakes in its use of fal."),
    "models": ("models:models", "List the models that are emulated, and add others."),
    "run": ("run:run", "Run a program with all fal hosts led to an emulator."),
    "scenario": ("scenario:scenario", "Show presets, faults and scenario files."),
    "serve": ("serve:serve", "Serve the emulator until Ctrl-C."),
    "state": ("inspect:state_group", "Work with state folders."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"falmock.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:  # click itself suggests imported commands only
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=COMMANDS, ctx=ctx
            ) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names without an import of their modules."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="falmock")
@click.pass_context
def falmock(context: click.Context) -> None:
    """An offline emulator of fal.ai.

    Start it with `falmock serve`, then call http://127.0.0.1:8787 instead of https://queue.fal.run, with any
    key of the form id:secret. Or run a program unchanged: falmock run -- python app.py.
    """
    from falmock.cli import config

    _, values = config.read(Path())
    nested = {"config": ("show",), "models": ("list", "show", "diff", "add", "pull", "remove")}
    context.default_map = {
        **dict.fromkeys(COMMANDS, values),
        **{group: dict.fromkeys(commands, values) for group, commands in nested.items()},
    }


def main() -> None:
    """Run the command. Wrong usage is one line on standard error and exit code 2."""
    code: Any
    try:
        code = falmock.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = EXIT_USAGE
    except click.ClickException as error:
        click.echo(f"falmock: {error.format_message()}", err=True)
        code = EXIT_USAGE
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename:
            raise
        click.echo(f"falmock: cannot write the output: {error.strerror}", err=True)
        code = EXIT_UNWRITTEN
    sys.exit(code)
