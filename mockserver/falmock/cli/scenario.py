"""The command `falmock scenario`."""

from __future__ import annotations

import click

from falmock.cli.serve import reporting
from falmock.faults import scenarios
from falmock.faults.vocabulary import EXACT, FAULTS, Fault, limits


@click.group()
def scenario() -> None:
    """Show presets, faults and scenario files."""


@scenario.command("list")
def list_scenarios() -> None:
    """List the presets and what each teaches."""
    presets = scenarios.presets()
    width = max(map(len, presets))
    for name, preset in presets.items():
        click.echo(f"{name:{width}}  {preset.teaches}")


@scenario.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a preset or a scenario file as TOML, to start your own from it."""
    with reporting():
        click.echo(scenarios.text(scenarios.find(name)), nl=False)


@scenario.command()
@click.argument("names", nargs=-1, required=True)
def check(names: tuple[str, ...]) -> None:
    """Check scenario files, and print the number of their rules."""
    with reporting():
        for name in names:
            count = len(scenarios.find(name).rules)
            click.echo(f"{name}: {count} rule{'' if count == 1 else 's'}, valid")


@scenario.command()
def faults() -> None:
    """List all faults with their options."""
    for name, kind in FAULTS.items():
        options = " ".join(
            f"{option}={value}" for option, value in Fault(name, kind.options).option_texts().items()
        )
        ranges = [
            f" {option}: {low} to {high}."
            for option, default in kind.options.items()
            for low, high in [limits(name, option)]
            if isinstance(default, int | float) and high != EXACT
        ]
        click.echo(f"{name}{options and ' '}{options}\n    {kind.says}{''.join(ranges)}")
