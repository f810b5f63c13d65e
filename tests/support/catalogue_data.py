"""Writes `data/listed.jsonl` of the catalogue from the releases of the npm package `@fal-ai/client`.

Run it as `make catalogue`. It downloads each release from the registry of the variable `NPM_CONFIG_REGISTRY`,
else from npm's own, and needs no node. The same releases give the same bytes. It also lays out
`data/checked.json`, which people edit.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from typing import TYPE_CHECKING, Any, Final

import httpx

from falmock.catalogue import bundled, notation, typescript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REGISTRY: Final = "https://registry.npmjs.org"
PACKAGE: Final = "@fal-ai/client"
FIELDS: Final = 4  # how deep the fields of a type are in checked.json
ABOUT: Final = {"about": "`make catalogue` writes this file; docs/catalogue.md explains the keys."}
MEMBER: Final = "types/endpoints.d.ts"
ORDERED: Final = (
    "1.9.5"  # the last release with fal's order of fields, and with types that endpoints do not share
)

Json = dict[str, Any]


def download() -> tuple[dict[str, str], dict[str, str]]:
    """Return by version, oldest first, the declarations of the releases that have some, and all dates."""
    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY).rstrip("/")
    with httpx.Client(timeout=60, follow_redirects=True) as client:
        package = client.get(f"{registry}/{PACKAGE}").raise_for_status().json()
        versions = sorted(package["versions"], key=_order)
        texts = {}
        for version in versions:
            archive = client.get(package["versions"][version]["dist"]["tarball"]).raise_for_status().content
            if (text := _member(archive)) is not None:
                texts[version] = text
            sys.stderr.write(f"{PACKAGE} {version}{'' if version in texts else ': no types'}\n")
    return texts, dates({version: package["time"][version][:10] for version in versions})


def dates(published: Mapping[str, str]) -> dict[str, str]:
    """Return when each version came out, at the latest, oldest first.

    A mirror may give the day on which it made its copy. No release is younger than a later one.
    """
    found: dict[str, str] = {}
    newest_first = list(published.items())[::-1]
    for version, date in newest_first:
        found[version] = min(date, *found.values()) if found else date
    return dict(reversed(found.items()))


def listing(texts: Mapping[str, str], dates: Mapping[str, str]) -> Iterator[Json]:
    """Yield the lines of the file: types, then endpoints by id.

    Args:
        texts: the declarations by version, oldest first.
        dates: of the versions.
    """
    parsed: dict[str, typescript.Types] = {}
    releases = {}
    for version, text in texts.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        releases[version] = parsed.setdefault(digest, typescript.Types(text))
    preferred = [ORDERED, *sorted(releases, key=_order, reverse=True)]
    shared = _Shared()
    endpoints = []
    for endpoint in sorted({endpoint for types in releases.values() for endpoint in types.endpoints}):
        listed_by = [version for version, types in releases.items() if endpoint in types.endpoints]
        versions = [version for version in preferred if version in listed_by]
        found = {version: releases[version].listing(endpoint) for version in versions}
        # Some releases say of an input or of an output that it may be anything.
        version = max(versions, key=lambda version: bool(found[version].input) + bool(found[version].output))
        described = shared.rename(found[version])
        later = list(releases)[list(releases).index(listed_by[-1]) + 1 :]
        endpoints.append(
            {
                "endpoint": endpoint,
                "certainty": "types",
                "release": version,
                "date": dates[version],
                **({"retired": dates[later[0]]} if later else {}),
                "input": described.input,
                "output": described.output,
            }
        )
    for name, type_ in sorted(shared.types.items()):
        yield {"type": name, **type_}
    yield from endpoints


class _Shared:
    """The types of all releases: one that differs from another of the same name gets a number."""

    def __init__(self) -> None:
        self.types: dict[str, Json] = {}
        self._names: dict[str, str] = {}

    def rename(self, found: notation.Listing) -> notation.Listing:
        """Return a listing that refers to the shared types."""
        names = {name: self._name(name, found.types) for name in found.types}
        for name, type_ in found.types.items():
            self.types[names[name]] = {**type_, "fields": _renamed(type_["fields"], names)}
        return notation.Listing(_renamed(found.input, names), _renamed(found.output, names), self.types)

    def _name(self, name: str, types: Mapping[str, Json]) -> str:
        used = notation.used([{"": {"ref": name}}], types)
        content = json.dumps([name, used], sort_keys=True)
        if content not in self._names:
            number = sum(known.partition("~")[0] == name for known in self._names.values()) + 1
            self._names[content] = name if number == 1 else f"{name}~{number}"
        return self._names[content]


def _renamed(fields: notation.Fields, names: Mapping[str, str]) -> notation.Fields:
    return {name: _renamed_field(field, names) for name, field in fields.items()}


def _renamed_field(field: notation.Field, names: Mapping[str, str]) -> notation.Field:
    renamed = dict(field)
    for key, value in field.items():
        if key == "ref":
            renamed[key] = names[value]
        elif key in {"items", "values"}:
            renamed[key] = _renamed_field(value, names)
        elif key in {"any", "tuple"}:
            renamed[key] = [_renamed_field(option, names) for option in value]
    return renamed


def lines(objects: Iterable[Json]) -> str:
    """Return JSON Lines."""
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in objects)


def laid_out(value: Any, depth: int = 0) -> str:
    """Return JSON with a field a line: objects of objects are spread, down to a field."""
    spread = (
        isinstance(value, dict)
        and (depth < FIELDS)
        and any(isinstance(each, dict) for each in value.values())
    )
    if not spread:
        return json.dumps(value, ensure_ascii=False)
    margin = "  " * (depth + 1)
    parts = [f"{margin}{json.dumps(key)}: {laid_out(each, depth + 1)}" for key, each in value.items()]
    return "{\n" + ",\n".join(parts) + "\n" + "  " * depth + "}"


def main() -> None:
    texts, published = download()
    bundled.LISTED.write_text(lines([ABOUT, *listing(texts, published)]), encoding="utf-8")
    checked = json.loads(bundled.CHECKED.read_text(encoding="utf-8"))
    bundled.CHECKED.write_text(laid_out(checked) + "\n", encoding="utf-8")


def _member(archive: bytes) -> str | None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            if member.name.endswith(MEMBER):
                file = files.extractfile(member)
                return None if file is None else file.read().decode()
    return None


def _order(version: str) -> list[int]:
    return [int(part) for part in version.partition("-")[0].split(".")]


if __name__ == "__main__":
    main()
