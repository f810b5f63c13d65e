"""The user's own models, and ids that are not in the catalogue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, GOOD, KEY

from falmock.app import open_emulator
from falmock.catalogue import bundled, documents
from falmock.catalogue.documents import Problems
from falmock.engine import own_models
from falmock.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

FLUX = "fal-ai/flux/dev"
TYPES = "known only from the types of an npm package: fal may accept it. Exact: falmock models pull"


def document(endpoint: str = "acme/films/animate", **changes: Any) -> dict[str, Any]:
    """Return the document of a model like flux/dev with changed facts of its prompt."""
    entry = bundled.entry(FLUX)
    assert entry is not None
    whole = json.loads(json.dumps(documents.document(entry)).replace(FLUX, endpoint))
    whole["components"]["schemas"]["FluxDevInput"]["properties"]["prompt"].update(changes)
    return whole  # type: ignore[no-any-return]


def saved(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def refused(mock: Mock, endpoint: str, body: dict[str, Any]) -> Any:
    """Return the problems of an input."""
    submitted = (await mock.http.post(f"/{endpoint}", json=body, headers=KEY)).json()
    await mock.pass_time(60)
    answer = await mock.result(submitted)
    assert answer.status_code == 422
    return answer.json()["detail"]


@pytest.mark.parametrize("given", ["a file", "a folder"])
async def test_models_of_the_settings_are_served(start: Start, tmp_path: Path, given: str) -> None:
    file = saved(tmp_path / "own" / "films.json", document())
    mock = await start(models=(str(file if given == "a file" else file.parent),))

    submitted = (await mock.http.post("/acme/films/animate", json={"prompt": "x"}, headers=KEY)).json()
    await mock.pass_time(60)

    assert list((await mock.result(submitted)).json()) == [
        "images",
        "timings",
        "seed",
        "has_nsfw_concepts",
        "prompt",
    ]


async def test_a_model_of_ones_own_replaces_the_bundled_one_but_for_its_price(
    start: Start, tmp_path: Path
) -> None:
    saved(tmp_path / "flux.json", document(FLUX, maxLength=3))
    mock = await start(models=(str(tmp_path),))

    assert (await refused(mock, FLUX, {"prompt": "long"}))[0]["type"] == "string_too_long"
    found = mock.emulator.catalogue.get(FLUX)
    known = bundled.entry(FLUX)
    assert found is not None
    assert known is not None
    assert found.entry.price == known.price


async def test_the_models_of_a_state_folder_are_served_and_those_of_the_settings_win(
    start: Start, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    saved(state / "models" / "a.json", document("acme/a/x", maxLength=1))
    saved(state / "models" / "b.json", document("acme/b/x", maxLength=1))
    saved(tmp_path / "more" / "b.json", document("acme/b/x", maxLength=2))
    mock = await start(state=state, models=(str(tmp_path / "more"),))

    limits = [(await refused(mock, f"acme/{name}/x", {"prompt": "long"}))[0]["ctx"] for name in "ab"]

    assert limits == [{"max_length": 1}, {"max_length": 2}]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "it is not JSON: "),
        ("\udcff", "it is not text in UTF-8"),
        ({}, "the document has no object at paths (and 1 more: falmock models add "),
        (None, "cannot read it (No such file or directory)"),
        (document("../../x"), "is not an endpoint id of fal"),
        (document() | {"info": {"x-falmock": {"certainty": "sure"}}}, "info.x-falmock needs a certainty"),
        (document() | {"info": {"x-falmock": 1}}, "info.x-falmock needs a certainty"),
    ],
)
async def test_a_broken_document_is_a_line_at_the_start(tmp_path: Path, content: Any, problem: str) -> None:
    path = tmp_path / "films.json"
    if content == "\udcff":
        path.write_bytes(b"\xff")
    elif content is not None:
        saved(path, content)

    with pytest.raises(SettingsError) as caught:
        async with open_emulator(Settings(models=(str(path),))):
            pass

    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_documents_of_one_endpoint_are_a_problem(tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(tmp_path / f"{name}.json", document())

    with pytest.raises(Problems, match=r"b\.json: .*a\.json has acme/films/animate too"):
        own_models.read([tmp_path])


async def test_an_unknown_id_is_refused_with_a_hint_of_the_nearest(start: Start) -> None:
    mock = await start()

    answer = await mock.http.post("/fal-ai/bytedance/seedream/v4.5", json=GOOD, headers=KEY)
    if answer.status_code == 200:  # the application exists: its runner refuses the path
        await mock.pass_time(60)
        answer = await mock.result(answer.json())

    assert answer.status_code == 404
    assert answer.headers["x-falmock-hint"] == (
        "did you mean fal-ai/bytedance/seedream/v4.5/edit? "
        "to add this model: falmock models add FILE, or --unknown-models generic"
    )


@pytest.mark.parametrize(
    ("endpoint", "output"),
    [
        ("acme/films/text-to-video", "video"),
        ("acme/photos/text-to-image", "images"),
        ("acme/unheard-of", "images"),
        ("acme/songs/text-to-music", "audio"),
        ("acme/words/transcribe", "output"),
        ("acme/things/image-to-3d", "model_mesh"),
        ("acme/lora/trainer", "diffusers_lora_file"),
    ],
)
async def test_an_unknown_id_takes_any_input_and_its_name_says_what_comes_out(
    start: Start, caplog: pytest.LogCaptureFixture, endpoint: str, output: str
) -> None:
    mock = await start(unknown_models="generic")

    for _ in range(2):
        given = {"prompt": "x", "anything": [1], "image_url": None}
        submitted = (await mock.http.post(f"/{endpoint}", json=given, headers=KEY)).json()
        await mock.pass_time(60)
        answer = await mock.result(submitted)

    assert (answer.status_code, next(iter(answer.json()))) == (200, output), answer.text
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{endpoint}: this model is not in the catalogue; any input is accepted")
    assert (await mock.http.get("/control/lint")).json()["findings"] == []


async def test_a_generic_model_makes_what_the_usual_fields_ask_for(start: Start) -> None:
    mock = await start(unknown_models="generic")
    given = {"num_images": 2, "image_size": {"width": 320, "height": 200}, "output_format": "webp"}

    submitted = (await mock.http.post("/acme/x/text-to-image", json=given, headers=KEY)).json()
    await mock.pass_time(60)
    images = (await mock.result(submitted)).json()["images"]

    facts = [(each["width"], each["height"], each["content_type"]) for each in images]
    assert facts == [(320, 200, "image/webp")] * 2


async def test_a_listed_model_is_not_generic(start: Start) -> None:
    mock = await start(unknown_models="generic")

    assert (await refused(mock, ENDPOINT, {}))[0]["type"] == "missing"


async def test_a_422_by_the_types_of_a_package_says_so_once_in_the_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = "fal-ai/kling-video/v3/pro/motion-control"
    mock = await start()

    for _ in range(2):
        detail = await refused(mock, endpoint, {})

    assert "types" not in json.dumps(detail)
    assert [warning for warning in warnings(caplog) if TYPES in warning] == [
        f"{endpoint}: an input was refused with 422, but this model is {TYPES} {endpoint}"
    ]


async def test_a_422_by_a_schema_is_not_remarked(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    await refused(await start(), FLUX, {})

    assert warnings(caplog) == []


async def test_a_model_that_is_not_listed_any_more_works_and_the_log_says_since_when(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = next(name for name in bundled.ids() if (e := bundled.entry(name)) and e.retired)
    entry = bundled.entry(endpoint)
    assert entry is not None
    mock = await start()

    for _ in range(2):
        await mock.http.post(f"/{endpoint}", json={}, headers=KEY)
    await mock.pass_time(60)

    lines = [warning for warning in warnings(caplog) if "not listed" in warning]
    assert lines == [f"{endpoint}: fal has not listed this model since {entry.retired}; it may be gone there"]
