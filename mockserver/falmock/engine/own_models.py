"""The user's own models: fal's OpenAPI documents, in files and folders.

A document may say in `info.x-falmock` where its facts are from, and of which date they are.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from falmock.catalogue import bundled, documents
from falmock.catalogue.documents import Problems
from falmock.catalogue.entries import Certainty
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from falmock.catalogue import Entry

TYPES: Final = "endpoints.d.ts"
MARK: Final = "x-falmock"

_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.~-]*(?:/[A-Za-z0-9][\w.~-]*)+", re.ASCII)
_LONGEST_ID: Final = 200
_DATE = re.compile(r"\d{4}(?:-\d\d){0,2}|")


@dataclass(frozen=True, slots=True)
class Own:
    """A model that a user has added."""

    path: Path
    document: dict[str, Any]
    entry: Entry


def read(paths: Iterable[Path]) -> dict[str, Own]:
    """Return the models in some files and folders by endpoint.

    Raises:
        Problems: one or more files are broken.
    """
    found: dict[str, Own] = {}
    lines: list[str] = []
    for path in paths:
        for file in _files(path):
            try:
                models = list(_in_package(file)) if file.name == TYPES else [_in_file(file)]
                lines += [
                    f"{file}: {found[own.entry.endpoint].path} has {own.entry.endpoint} too"
                    for own in models
                    if own.entry.endpoint in found
                ]
                found |= {own.entry.endpoint: own for own in models}
            except Problems as error:
                lines += [f"{file}: {line}" for line in error.lines]
    if lines:
        raise Problems(lines)
    return found


def add(folder: Path, models: Iterable[Own]) -> None:
    """Write the documents of models to a folder, all or none."""
    staged: dict[Path, Path] = {}
    try:
        for own in models:
            path = folder / f"{own.entry.endpoint}.json"
            private.folder(path.parent)
            part = path.with_name(f"{path.name}{private.PART}")
            part.unlink(missing_ok=True)
            staged[part] = path
            with private.create(part) as sink:
                sink.write(json.dumps(own.document, indent=1, ensure_ascii=False).encode())
        for part, path in staged.items():
            part.replace(path)
    finally:
        for part in staged:
            part.unlink(missing_ok=True)


def marked(document: dict[str, Any], certainty: str, date: str) -> dict[str, Any]:
    """Return a document that says where its facts are from, unless it already does."""
    info = document.get("info")
    if not isinstance(info, dict) or MARK in info:
        return document
    return {**document, "info": {**info, MARK: {"certainty": certainty, "date": date}}}


def entry(document: object) -> Entry:
    """Return the entry for a document. Its price is that of the bundled entry, because documents have none.

    Raises:
        Problems: it is broken.
    """
    found = documents.read(document)
    if len(found.endpoint) > _LONGEST_ID or not _ID.fullmatch(found.endpoint):
        raise Problems([f"{json.dumps(found.endpoint[:_LONGEST_ID])} is not an endpoint id of fal"])
    info = document.get("info") if isinstance(document, dict) else None
    mark = info.get(MARK, {}) if isinstance(info, dict) else {}
    if not isinstance(mark, dict):
        mark = {"certainty": None}
    certainty, date = mark.get("certainty", "document"), mark.get("date", "")
    if certainty not in get_args(Certainty) or not (isinstance(date, str) and _DATE.fullmatch(date)):
        raise Problems([f"info.{MARK} needs a certainty, such as document, and a date, such as 2026-05-12"])
    known = bundled.entry(found.endpoint)
    if known is not None:
        found = replace(found, price=known.price, price_rule=known.price_rule, validation=known.validation)
    return replace(found, certainty=certainty, date=date)


def _files(path: Path) -> Iterator[Path]:
    """Yield the documents in a file or folder; for fal's npm package, the file of its types."""
    if not path.is_dir():
        yield path
    elif (path / "package.json").is_file():
        types = sorted(path.rglob(TYPES))
        yield types[0] if types else path / TYPES
    else:
        yield from sorted(path.rglob("*.json"))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise Problems([f"cannot read it ({error.strerror})"]) from None
    except UnicodeDecodeError:
        raise Problems(["it is not text in UTF-8"]) from None


def _in_file(path: Path) -> Own:
    text = _text(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problems([f"it is not JSON: {error}"]) from None
    found = entry(document)
    saved = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    return Own(path, marked(document, "document", saved), found)


def _in_package(path: Path) -> Iterator[Own]:
    """Yield the models of the npm package that are not bundled: bundled entries are more exact."""
    from falmock.catalogue.typescript import Types, Unreadable  # noqa: PLC0415 - packages are rare

    try:
        types = Types(_text(path))
        for endpoint in types.endpoints:
            if bundled.entry(endpoint) is None:
                made = types.entry(endpoint)
                document = marked(documents.document(made), made.certainty, "")
                yield Own(path, document, entry(document))
    except Unreadable as error:
        raise Problems([str(error)]) from None


def all_of(folder: Path, paths: Iterable[Path]) -> dict[str, Own]:
    """Return the models of a state folder, if it exists, and of other files and folders; a later one wins.

    Raises:
        Problems: a document is broken.
    """
    found = read([folder]) if folder.exists() else {}
    for path in paths:
        found |= read([path])
    return found
