"""The data files of the catalogue: complete, consistent, small, and read only when needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from catalogue_data import laid_out, lines

from falmock.catalogue import bundled, notation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.catalogue.entries import Entry

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
CHECKED: Json = json.loads(bundled.CHECKED.read_text())
ABOUT, *LISTED = [json.loads(line) for line in bundled.LISTED.read_text().splitlines()]
BY_TYPES = {each["endpoint"]: each for each in LISTED if "endpoint" in each}
IDS = list(bundled.ids())
ENTRIES: dict[str, Entry] = {endpoint: entry for endpoint in IDS if (entry := bundled.entry(endpoint))}


def objects(value: Any) -> Iterator[Json]:
    """Yield each object in a JSON value."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from objects(each)


def test_the_endpoints_of_both_files_are_bundled_once_the_checked_ones_first() -> None:
    checked = list(CHECKED["endpoints"])

    assert IDS[: len(checked)] == checked
    assert sorted(IDS) == sorted({*checked, *BY_TYPES})
    assert list(ENTRIES) == IDS
    assert len(IDS) >= 1300


def test_every_bundled_endpoint_is_an_entry_whose_references_lead_somewhere() -> None:
    broken = {}
    for endpoint in IDS:
        entry = ENTRIES[endpoint]
        references = {each["$ref"].rpartition("/")[2] for each in objects(entry.schemas) if "$ref" in each}
        if entry.endpoint != endpoint or not {*references, entry.input, entry.output} <= set(entry.schemas):
            broken[endpoint] = references - set(entry.schemas)

    assert broken == {}


def test_every_entry_says_how_certain_it_is_and_of_when() -> None:
    entries = list(ENTRIES.values())

    assert {entry.certainty for entry in entries} == {"page", "schema", "types"}
    assert [
        entry.endpoint for entry in entries if not re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", entry.date)
    ] == []
    assert [ENTRIES[endpoint].certainty for endpoint in BY_TYPES if endpoint not in CHECKED["endpoints"]] == [
        "types"
    ] * len(BY_TYPES.keys() - CHECKED["endpoints"].keys())


def test_the_medium_is_unknown_only_where_neither_the_output_nor_the_id_says_it() -> None:
    assert [endpoint for endpoint in IDS if ENTRIES[endpoint].medium == "unknown"] == [
        "fal-ai/moondream-next/batch",
        "openrouter/router/openai/v1/embeddings",
    ]


def test_every_price_has_a_date_and_a_source() -> None:
    prices = [entry.price for entry in ENTRIES.values() if entry.price]

    assert len(prices) > 100
    assert [
        price for price in prices if not (price.usd > 0 and price.unit and price.date and price.source)
    ] == []


def test_every_key_of_the_notation_is_explained() -> None:
    page = (ROOT / "docs" / "catalogue.md").read_text()
    objects = (*CHECKED["endpoints"].values(), *CHECKED["types"].values(), *LISTED)
    keys = {key for each in objects for key in each}
    keys |= {*notation._BRANCH, *notation._WHOLE, *notation._NESTED}  # no other key is accepted in a field

    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_defaults_and_order_are_those_of_the_endpoint_and_not_of_a_type_that_it_shares() -> None:
    steps = {name: BY_TYPES[f"fal-ai/flux/{name}"]["input"] for name in ("dev", "schnell")}

    assert [fields["num_inference_steps"]["default"] for fields in steps.values()] == [28, 4]
    assert [next(iter(fields)) for fields in steps.values()] == ["prompt", "num_inference_steps"]


def test_what_was_checked_goes_before_what_the_types_say() -> None:
    assert "maximum" not in str(BY_TYPES["fal-ai/flux/schnell"])
    assert ENTRIES["fal-ai/flux/schnell"].schemas["FluxSchnellInput"]["properties"][
        "num_inference_steps"
    ] == {
        "default": 4,
        "maximum": 12,
        "minimum": 1,
        "title": "Num Inference Steps",
        "type": "integer",
    }


def test_an_endpoint_that_newer_releases_no_longer_list_is_retired_since_the_first_of_them() -> None:
    assert ENTRIES["fal-ai/any-llm"].retired == "2025-12-17"
    assert ENTRIES["fal-ai/hyper-sdxl"].retired == BY_TYPES["fal-ai/hyper-sdxl"]["retired"] == "2026-04-25"
    assert ENTRIES["fal-ai/flux/dev"].retired is None


@pytest.mark.parametrize("endpoint", ["fal-ai/nothing", "ImageSize", "File", "", "fal-ai/flux/dev/"])
def test_an_id_that_is_not_bundled_has_no_entry(endpoint: str) -> None:
    assert endpoint not in bundled.ids()
    assert bundled.entry(endpoint) is None


def test_nothing_is_parsed_but_the_endpoint_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def decode(text: str) -> Any:
        parsed.append(text)
        return json.JSONDecoder().raw_decode(text)

    monkeypatch.setattr(bundled, "_decode", decode)
    bundled.ids.cache_clear()
    bundled._files.cache_clear()
    assert len(bundled.ids()) == len(IDS)
    assert parsed == []

    bundled.entry("fal-ai/flux/dev")
    assert len(parsed) == len(["fal-ai/flux/dev", "ImageSize", "Image"])


def test_the_document_of_veo_is_that_of_its_page() -> None:
    entry = ENTRIES["fal-ai/veo2/image-to-video"]
    calls = [json.loads(line) for line in (ROOT / "fixtures" / "answers.jsonl").read_text().splitlines()]
    (call,) = [
        each for each in calls if each["call"].endswith("openapi.json?endpoint_id=fal-ai/veo2/image-to-video")
    ]
    schemas = json.loads(call["body"])["components"]["schemas"]
    del schemas["QueueStatus"]

    assert json.dumps(dict(entry.schemas)) == json.dumps(schemas)
    assert (entry.certainty, entry.retired) == ("page", None)


def test_no_description_is_bundled_but_those_of_veo() -> None:
    described = {
        endpoint
        for endpoint in IDS
        if any(isinstance(each.get("description"), str) for each in objects(ENTRIES[endpoint].schemas))
    }

    assert described == {"fal-ai/veo2/image-to-video"}


def test_the_checked_file_has_a_field_a_line() -> None:
    """`make catalogue` lays it out so."""
    assert bundled.CHECKED.read_text() == laid_out(CHECKED) + "\n"


def test_the_listed_file_is_written_by_the_program_alone() -> None:
    assert bundled.LISTED.read_text() == lines([ABOUT, *LISTED])
    assert [each["type"] for each in LISTED if "type" in each] == sorted(
        each["type"] for each in LISTED if "type" in each
    )
    assert list(BY_TYPES) == sorted(BY_TYPES)
