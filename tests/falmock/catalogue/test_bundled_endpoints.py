"""Every bundled endpoint through the emulator: a valid input gives a valid output, and its files are real."""

from __future__ import annotations

import base64
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import file_facts
import jsonschema
import pytest
import tiny_files
import valid_inputs
from emulated import KEY, Mock, opened
from sampled_endpoints import SAMPLE

from falmock.catalogue import bundled
from falmock.engine.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from falmock.catalogue.entries import Entry

Json = dict[str, Any]
# With `make models` all of them, also with all fields of their inputs
IS_NIGHT = os.environ.get("FALMOCK_MODELS") == "all"
ENDPOINTS = list(bundled.ids()) if IS_NIGHT else SAMPLE
DOCUMENT = "/fal.ai/api/openapi/queue/openapi.json"
FORMATS = r"png|jpe?g|webp|gif|svg|mp4|webm|mov|prores|mp3|wav|flac|opus|ogg|pcm|ulaw|alaw|glb|obj|stl"
MEDIA = {"image": ("image/",), "video": ("video/", "image/gif"), "audio": ("audio/",), "mesh": ("model/",)}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def emulator(renders: Path) -> AsyncIterator[Mock]:
    async with opened(renders, ManualClock()) as mock:
        yield mock


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tiny_files.make(tmp_path_factory.mktemp("inputs"))


@cache
def entry_of(endpoint: str) -> Entry:
    entry = bundled.entry(endpoint)
    assert entry is not None
    return entry


def test_the_sample_has_every_medium_certainty_and_format_of_the_catalogue() -> None:
    everything, sampled = facts_of(bundled.ids()), facts_of(SAMPLE)

    assert len(SAMPLE) == 100
    assert everything - sampled == set()


def facts_of(endpoints: Iterable[str]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for endpoint in endpoints:
        entry = entry_of(endpoint)
        properties = entry.schemas[entry.input].get("properties", {})
        found |= {("medium", entry.medium), ("certainty", entry.certainty)}
        for field in (field for name, field in properties.items() if name.endswith("output_format")):
            formats = (re.search(FORMATS, str(choice).lower()) for choice in field.get("enum", ()))
            found |= {("format", each[0]) for each in formats if each}
    return found


@pytest.mark.parametrize("fields", ["few", "all"] if IS_NIGHT else ["few"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_bundled_endpoint_makes_a_valid_output_and_the_files_that_it_promises(
    endpoint: str, fields: str, emulator: Mock, inputs: dict[str, str], tmp_path: Path
) -> None:
    entry = entry_of(endpoint)
    full = fields == "all"
    body = valid_inputs.make(entry, full=True, files=inputs) if full else valid_inputs.small(entry, inputs)
    document = (await emulator.http.get(f"{DOCUMENT}?endpoint_id={endpoint}")).json()
    check(document, entry.input, body)

    submitted = await emulator.http.post(f"/{endpoint}", json=body, headers=KEY)
    assert submitted.status_code == 200, submitted.text[:1000]
    await emulator.pass_time(60)
    result = await emulator.result(submitted.json())

    assert result.status_code == 200, result.text[:1000]
    output = result.json()
    check(document, entry.output, output)
    files = []
    for promised, url in found_files(output):
        content_type, data = await fetch(emulator, url)
        facts = {"content_type": content_type, "file_size": len(data)}
        facts |= file_facts.read(content_type, data, tmp_path)
        check_promise(promised, facts)
        files.append(facts)
    check_request(entry, body, output, files)


def check(document: Json, name: str, value: Any) -> None:
    """Check a value against a component of a document, with a validator that is not falmock's."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


def found_files(value: Any) -> Iterator[tuple[Json, str]]:
    """Yield each URL of an output, and the file object around it."""
    if isinstance(value, list):
        for member in value:
            yield from found_files(member)
    elif isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, str) and re.match("(https?|data):", member):
                yield (value if name == "url" else {}), member
            else:
                yield from found_files(member)
    elif isinstance(value, str) and re.match("(https?|data):", value):
        yield {}, value


async def fetch(emulator: Mock, url: str) -> tuple[str, bytes]:
    """Return the content type and the bytes of a file, from the CDN or from a data URI."""
    if url.startswith("data:"):
        head, _, data = url.partition(";base64,")
        return head.removeprefix("data:"), base64.b64decode(data, validate=True)
    assert "/v3b.fal.media/files/" in url
    answer = await emulator.http.get(url)
    assert answer.status_code == 200, url
    return answer.headers["content-type"].partition(";")[0], answer.content


def check_promise(promised: Json, facts: Json) -> None:
    """Compare a file object with its file."""
    for name, fact in facts.items():
        if promised.get(name) is None:
            continue
        if isinstance(fact, float):
            assert float(promised[name]) == pytest.approx(fact, rel=0.02, abs=0.06), name
        else:
            assert promised[name] == fact, name


def is_stated(entry: Entry) -> bool:
    """Check whether the output has a field for a file of the model's medium."""
    named = {entry.medium, f"{entry.medium}s", f"{entry.medium}_url", f"{entry.medium}_file"}
    return entry.medium in MEDIA and bool(named & set(entry.schemas[entry.output].get("properties", ())))


def check_request(entry: Entry, body: Json, output: Json, files: list[Json]) -> None:
    """Compare the files with the input."""
    kinds = MEDIA.get(entry.medium, ("",))
    main = [file for file in files if file["content_type"].startswith(kinds)]
    assert main or not is_stated(entry)
    size = body.get("image_size") or body.get("video_size")
    if isinstance(size, dict):
        asked = size["width"], size["height"]
        assert asked in {(file.get("width"), file.get("height")) for file in files}
    if isinstance(output.get("images"), list) and "num_images" in body:
        assert len(output["images"]) == body["num_images"]
    if entry.medium != "video" or not main or {"mp4", "wav"} & {valid_inputs.file_of(name) for name in body}:
        return  # the length may be that of an input file
    seconds = re.fullmatch(r"(\d+)s?", str(body.get("duration")))
    if "num_frames" in body and seconds is None:
        assert main[0]["num_frames"] == int(body["num_frames"])
    elif seconds is not None and "num_frames" not in body:
        assert main[0]["duration"] == pytest.approx(int(seconds[1]), abs=0.1)
