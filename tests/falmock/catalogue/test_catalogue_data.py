"""`make catalogue`: what it makes of several releases. The declarations are written for these tests."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import catalogue_data
import httpx

if TYPE_CHECKING:
    import pytest
    import respx

Json = dict[str, Any]


def release(*endpoints: str, size: str = "width: number;", steps: int = 4) -> str:
    """Return declarations of endpoints that have an input in common."""
    names = [endpoint.rpartition("/")[2].title() for endpoint in endpoints]
    number = f"/** Default value: `{steps}` */ steps?: number;"
    types = [
        f"export type Size = {{ {size} }};",
        "export type Image = { url: string; size?: Size; };",
        *(f"export type {name}Input = {{ prompt: string; {number} }};" for name in names),
        *(f"export type {name}Output = {{ images: Array<Image>; }};" for name in names),
    ]
    listed = [
        f'"{endpoint}": {{ input: {name}Input; output: {name}Output; }};'
        for endpoint, name in zip(endpoints, names, strict=True)
    ]
    return "\n".join([*types, "export type EndpointTypeMap = {", *listed, "};"])


def listing(**releases: str) -> dict[str, Json]:
    """Return the lines by name; a release is named as v1_9_5."""
    texts = {name[1:].replace("_", "."): text for name, text in releases.items()}
    dates = {version: f"2026-01-{day:02}" for day, version in enumerate(texts, 1)}
    made = list(catalogue_data.listing(texts, dates))
    return {each["endpoint" if "endpoint" in each else "type"]: each for each in made}


def archive(**files: str) -> bytes:
    """Return a package of npm."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as package:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/src/types/{name}.d.ts")
            member.size = len(text.encode())
            package.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def test_releases_are_downloaded_from_the_configured_registry_oldest_first(
    monkeypatch: pytest.MonkeyPatch, respx_mock: respx.MockRouter
) -> None:
    registry = "https://registry.test/npm"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{registry}/")
    packages = {
        "1.10.0": archive(client="", endpoints="ten"),
        "1.0.0": archive(client=""),
        "1.9.0": archive(endpoints="nine"),
    }
    metadata = {
        "versions": {version: {"dist": {"tarball": f"{registry}/{version}.tgz"}} for version in packages},
        "time": {version: f"2026-0{month}-01T10:00:00.000Z" for month, version in enumerate(packages, 1)},
    }
    respx_mock.get(f"{registry}/@fal-ai/client").mock(httpx.Response(200, json=metadata))
    for version, content in packages.items():
        respx_mock.get(f"{registry}/{version}.tgz").mock(httpx.Response(200, content=content))
    texts, dates = catalogue_data.download()

    assert list(texts.items()) == [("1.9.0", "nine"), ("1.10.0", "ten")]
    assert dates == {"1.0.0": "2026-01-01", "1.9.0": "2026-01-01", "1.10.0": "2026-01-01"}


def test_an_endpoint_has_a_line_and_so_has_each_type_it_refers_to() -> None:
    made = listing(v1_9_5=release("fal-ai/one"))

    assert made == {
        "Image": {
            "type": "Image",
            "class": "Image",
            "fields": {"url": {"required": True, "type": "string"}, "size": {"ref": "Size", "null": True}},
        },
        "Size": {
            "type": "Size",
            "class": "Size",
            "fields": {"width": {"required": True, "type": "integer"}},
        },
        "fal-ai/one": {
            "endpoint": "fal-ai/one",
            "certainty": "types",
            "release": "1.9.5",
            "date": "2026-01-01",
            "input": {
                "prompt": {"required": True, "type": "string"},
                "steps": {"type": "integer", "default": 4},
            },
            "output": {"images": {"required": True, "type": "array", "items": {"ref": "Image"}}},
        },
    }


def test_order_and_defaults_come_from_1_9_5_though_there_is_a_newer_release() -> None:
    made = listing(
        v1_9_4=release("fal-ai/one", steps=1),
        v1_9_5=release("fal-ai/one"),
        v1_10_0=release("fal-ai/one", steps=28),
    )

    assert made["fal-ai/one"]["release"] == "1.9.5"
    assert made["fal-ai/one"]["input"]["steps"]["default"] == 4


def test_an_endpoint_that_1_9_5_lacks_comes_from_the_newest_release_that_has_it() -> None:
    old, older = release("fal-ai/gone", steps=2), release("fal-ai/gone", steps=1)
    made = listing(
        v1_2_0=older,
        v1_9_0=old,
        v1_9_5=release("fal-ai/one"),
        v1_9_6=release("fal-ai/one", "fal-ai/new", steps=5),
        v1_10_0=release("fal-ai/one", "fal-ai/new", steps=6),
    )

    assert (made["fal-ai/gone"]["release"], made["fal-ai/gone"]["input"]["steps"]["default"]) == ("1.9.0", 2)
    assert (made["fal-ai/new"]["release"], made["fal-ai/new"]["input"]["steps"]["default"]) == ("1.10.0", 6)


def test_an_endpoint_is_retired_on_the_day_of_the_first_release_without_it() -> None:
    made = listing(
        v1_2_0=release("fal-ai/gone", "fal-ai/back"),
        v1_9_0=release("fal-ai/gone"),
        v1_9_5=release("fal-ai/back"),
        v1_10_0=release("fal-ai/back"),
    )

    assert made["fal-ai/gone"]["retired"] == "2026-01-03"
    assert "retired" not in made["fal-ai/back"]


def test_a_release_that_says_anything_may_be_given_is_passed_over() -> None:
    nothing = 'export type EndpointTypeMap = { "fal-ai/one": { input: any; output: any; }; };'
    made = listing(v1_9_0=release("fal-ai/one"), v1_9_5=nothing, v1_10_0=nothing)

    assert made["fal-ai/one"]["release"] == "1.9.0"
    assert "retired" not in made["fal-ai/one"]


def test_a_type_that_differs_between_releases_gets_a_number_and_so_do_those_that_refer_to_it() -> None:
    made = listing(
        v1_9_5=release("fal-ai/one"), v1_10_0=release("fal-ai/one", "fal-ai/two", size="height: number;")
    )

    assert made["Image~2"]["fields"]["size"] == {"ref": "Size~2", "null": True}
    assert made["Size~2"] == {
        "type": "Size~2",
        "class": "Size",
        "fields": {"height": {"required": True, "type": "integer"}},
    }
    assert made["fal-ai/one"]["output"]["images"]["items"] == {"ref": "Image"}
    assert made["fal-ai/two"]["output"]["images"]["items"] == {"ref": "Image~2"}


def test_types_come_first_and_all_is_sorted() -> None:
    assert list(listing(v1_9_5=release("fal-ai/one", "a/zero"))) == ["Image", "Size", "a/zero", "fal-ai/one"]


def test_the_same_releases_give_the_same_bytes() -> None:
    texts = {"1.9.5": release("fal-ai/one", "fal-ai/two"), "1.10.0": release("fal-ai/two", "fal-ai/three")}
    dates = dict.fromkeys(texts, "2026-01-01")
    made = {catalogue_data.lines(catalogue_data.listing(texts, dates)) for _ in range(3)}

    assert len(made) == 1


def test_no_release_is_younger_than_those_after_it() -> None:
    published = {"1.0.0": "2026-05-06", "1.1.0": "2024-12-13", "1.2.0": "2026-05-07", "1.3.0": "2026-05-04"}

    assert list(catalogue_data.dates(published).items()) == [
        ("1.0.0", "2024-12-13"),
        ("1.1.0", "2024-12-13"),
        ("1.2.0", "2026-05-04"),
        ("1.3.0", "2026-05-04"),
    ]


def test_each_field_has_one_line() -> None:
    value = {"types": {"A": {"class": "A", "fields": {"a": {"any": [{"type": "x"}]}}}}, "endpoints": {}}

    assert catalogue_data.laid_out(value).splitlines() == [
        "{",
        '  "types": {',
        '    "A": {',
        '      "class": "A",',
        '      "fields": {',
        '        "a": {"any": [{"type": "x"}]}',
        "      }",
        "    }",
        "  },",
        '  "endpoints": {}',
        "}",
    ]
