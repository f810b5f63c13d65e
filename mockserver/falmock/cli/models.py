"""The commands `falmock models`: the models that an emulator serves, and your own."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import httpx

from falmock.app import StateError
from falmock.catalogue import BUNDLED, bundled, comparing, documents
from falmock.catalogue.documents import Problems
from falmock.cli.options import option, state_option
from falmock.engine import own_models
from falmock.engine.opening import prepare
from falmock.engine.served_models import FOLDER
from falmock.protocol.hosts import WEBSITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from falmock.catalogue import Entry, Price
    from falmock.engine.own_models import Own

BROKEN: Final = 1  # exit code of `add` and `pull`
DIFFERENT: Final = 1  # exit code of `diff`
DOCUMENT: Final = f"https://{WEBSITE}/api/openapi/queue/openapi.json"
CERTAINTIES: Final = ("page", "document", "schema", "types")


@click.group()
def models() -> None:
    """List the models that are emulated, and add others."""


_state: Final = state_option("State folder, which has models of your own.")
_models: Final = option(
    "--models", "More models of your own: a file, or a folder of files.", multiple=True, show_default=False
)


@models.command("list")
@click.argument("text", default="")
@_state
@_models
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--summary", is_flag=True, help="Print how many there are of each certainty, without your own.")
def list_models(text: str, state: Path, models: tuple[str, ...], *, as_json: bool, summary: bool) -> None:
    """List all models, or those with TEXT in their ids."""
    if summary:
        _print_summary()
        return
    own = _own(state, models)
    ids = dict.fromkeys([*own, *bundled.ids()])
    rows = [_row(_entry(endpoint, own), own=endpoint in own) for endpoint in ids if text in endpoint]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    widths = {name: max((len(str(row[name])) for row in rows), default=0) for name in ("endpoint", "price")}
    for row in rows:
        certainty = f"{row['certainty']} {row['date']}".strip()
        click.echo(
            f"{row['endpoint']:{widths['endpoint']}}  {row['medium']:7}  "
            f"{row['price'] or '':{widths['price']}}  {certainty:19}  {row['from']}"
        )


def _print_summary() -> None:
    entries = [entry for name in bundled.ids() if (entry := bundled.entry(name)) is not None]
    certainties = Counter(entry.certainty for entry in entries)
    media = Counter(entry.medium for entry in entries)
    click.echo(f"{len(entries)} models")
    click.echo("by certainty: " + ", ".join(f"{certainties[name]} {name}" for name in CERTAINTIES))
    click.echo("by medium: " + ", ".join(f"{count} {medium}" for medium, count in media.most_common()))
    click.echo(f"with a price: {sum(entry.price is not None for entry in entries)}")
    click.echo(f"not listed any more: {sum(entry.retired is not None for entry in entries)}")


def _row(entry: Entry, *, own: bool) -> dict[str, Any]:
    return {
        "endpoint": entry.endpoint,
        "medium": entry.medium,
        "price": _price(entry.price),
        "certainty": entry.certainty,
        "date": entry.date,
        "from": "own" if own else "bundled",
    }


def _price(price: Price | None) -> str | None:
    return None if price is None else f"${price.usd:g} / {price.unit}"


@models.command()
@click.argument("endpoint")
@_state
@_models
@click.option("--openapi", is_flag=True, help="Print the OpenAPI document, as fal's website has it.")
def show(endpoint: str, state: Path, models: tuple[str, ...], *, openapi: bool) -> None:
    """Print the fields, bounds and price of a model."""
    entry = _entry(endpoint, own := _own(state, models))
    if openapi:
        click.echo(json.dumps(documents.document(entry), indent=1, ensure_ascii=False))
        return
    price = entry.price
    known = {
        "medium": entry.medium,
        "certainty": f"{entry.certainty} {entry.date}".strip(),
        "price": f"{_price(price)}, {price.source}, {price.date}" if price else "not known",
        "price rule": "" if entry.price_rule is None else json.dumps(entry.price_rule, ensure_ascii=False),
        "not listed": f"since {entry.retired}" if entry.retired else "",
        "from": str(own[endpoint].path) if endpoint in own else "bundled",
    }
    click.echo(endpoint)
    for name, value in known.items():
        if value:
            click.echo(f"  {name:10}  {value}")
    for part in comparing.PARTS:
        found = comparing.fields(entry, part)
        click.echo(f"{part}{'' if found else ': anything'}")
        width = max(map(len, found), default=0)
        for name, facts in found.items():
            click.echo(f"  {name:{width}}  {comparing.text(facts)}")


@models.command()
@click.argument("older", metavar="ENDPOINT|FILE")
@click.argument("newer", type=click.Path(path_type=Path))
@_state
@_models
def diff(older: str, newer: Path, state: Path, models: tuple[str, ...]) -> int:
    """Compare a model with a newer document.

    The exit code is 1 if they differ.
    """
    try:
        before = _only(Path(older)) if Path(older).is_file() else _entry(older, _own(state, models))
        after = _only(newer)
    except Problems as error:
        raise click.ClickException("\n".join(error.lines)) from None
    lines = comparing.differences(before, after)
    for line in lines:
        click.echo(line)
    return DIFFERENT if lines else 0


@models.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_state
def add(files: tuple[Path, ...], state: Path) -> int:
    """Add models from OpenAPI documents of fal.

    FILES are documents, folders of them, or node_modules/@fal-ai/client. They are copied into the state
    folder. If one is broken, none is added.
    """
    try:
        found = own_models.read(files)
    except Problems as error:
        return _report(error)
    _save(state, found.values())
    for own in found.values():
        click.echo(f"added {own.entry.endpoint} ({own.entry.certainty})")
    if not found:
        click.echo("nothing to add: all of these models are bundled, with more facts")
    return 0


@models.command()
@click.argument("endpoint")
@_state
def pull(endpoint: str, state: Path) -> int:
    """Fetch the document of a model from fal, and add it.

    The call has FAL_KEY as its key, if that is set.
    """
    key = os.environ.get("FAL_KEY")
    try:
        answer = httpx.get(
            DOCUMENT,
            params={"endpoint_id": endpoint},
            headers={"Authorization": f"Key {key}"} if key else {},
            timeout=30,
            follow_redirects=True,
        ).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise click.ClickException(
            f"{WEBSITE} has no document of {endpoint}: {error.response.status_code}"
        ) from None
    except httpx.HTTPError as error:
        raise click.ClickException(f"cannot fetch the document of {endpoint}: {error}") from None
    today = datetime.now(UTC).date().isoformat()
    try:
        document = answer.json()
        entry = own_models.entry(document)
    except Problems as error:
        return _report(Problems([f"{endpoint}: {line}" for line in error.lines]))
    except ValueError:
        return _report(Problems([f"{endpoint}: the answer of {WEBSITE} is not JSON"]))
    if entry.endpoint != endpoint:
        return _report(Problems([f"{endpoint}: the document is that of {entry.endpoint}"]))
    own = own_models.Own(Path(), own_models.marked(document, "document", today), entry)
    _save(state, [own])
    click.echo(f"added {endpoint} (document {today})")
    return 0


@models.command()
@click.argument("endpoint")
@_state
def remove(endpoint: str, state: Path) -> None:
    """Remove a model of your own from the state folder.

    If it replaced a bundled model, that is served again.
    """
    own = _own(state, ())
    if endpoint not in own:
        raise click.ClickException(f"{state / FOLDER} does not have the model {endpoint}")
    own[endpoint].path.unlink()
    click.echo(f"removed {endpoint}")


def _report(problems: Problems) -> int:
    for line in problems.lines:
        click.echo(f"falmock: {line}", err=True)
    return BROKEN


def _save(state: Path, found: Iterable[Own]) -> None:
    try:
        prepare(state)
        own_models.add(state / FOLDER, found)
    except (OSError, StateError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.ClickException(f"cannot write to {state} ({reason}): choose another --state") from None


def _own(state: Path, more: tuple[str, ...]) -> Mapping[str, Own]:
    try:
        return own_models.all_of(state / FOLDER, map(Path, more))
    except Problems as error:
        raise click.ClickException("\n".join(error.lines)) from None


def _entry(endpoint: str, own: Mapping[str, Own]) -> Entry:
    entry = own[endpoint].entry if endpoint in own else bundled.entry(endpoint)
    if entry is None:
        nearest = BUNDLED.nearest(endpoint)
        advice = "" if nearest is None else f", did you mean {nearest}?"
        raise click.ClickException(f"there is no model {endpoint}{advice}")
    return entry


def _only(path: Path) -> Entry:
    """Return the model of a file, which must have one."""
    found = own_models.read([path])
    if len(found) != 1:
        raise click.ClickException(f"{path} has {len(found)} models; compare one")
    return next(iter(found.values())).entry
