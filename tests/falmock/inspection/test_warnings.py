"""Warnings about models that are not emulated, keys of a wrong form, and inputs that were not fetched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from emulated import APPLICATION, ENDPOINT, GOOD, HOSTED, KEY
from programs import falmock, through_falmock, tool

if TYPE_CHECKING:
    from emulated import Mock

SECRET = "0123456789abcdef0123456789abcdef"
FORMS = {
    f"Key {SECRET}": "a key without a colon",
    "Key undefined": "a key without a colon",
    f"Key :{SECRET}": "a key with an empty id or secret",
    f"Key {SECRET}:": "a key with an empty id or secret",
    f"Bearer me:{SECRET}": "a key sent as Bearer, which is for tokens",
    f"me:{SECRET}": "a key without the word Key before it",
    f"Token me:{SECRET}": "a key after another word than Key",
}


async def account(mock: Mock) -> dict[str, Any]:
    answer: dict[str, Any] = (await mock.http.get("/control/account")).json()
    return answer


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("base", ["", "/fal.run"])
async def test_a_model_of_an_unknown_application_is_named_once_with_what_to_do(
    mock: Mock, caplog: pytest.LogCaptureFixture, base: str
) -> None:
    for _ in range(3):
        await mock.http.post(f"{base}/acme/films/animate", json=GOOD, headers=KEY)

    (warning,) = warnings(caplog)
    assert warning == (
        "acme/films/animate: this model is not in the catalogue, so the answer is 404; "
        "to add this model: falmock models add FILE, or --unknown-models generic"
    )
    assert (await account(mock))["models"] == ["acme/films/animate"]


async def test_an_unknown_path_of_a_known_application_is_named_when_its_run_ends(mock: Mock) -> None:
    await mock.http.post(f"/{APPLICATION}/text-to-video", json=GOOD, headers=KEY)
    await mock.pass_time(60)

    assert (await account(mock))["models"] == [f"{APPLICATION}/text-to-video"]


@pytest.mark.parametrize("authorization", FORMS)
async def test_a_key_of_a_wrong_form_is_described_once_and_not_repeated(
    mock: Mock, caplog: pytest.LogCaptureFixture, authorization: str
) -> None:
    for path in (f"/{ENDPOINT}", f"/fal.run/{ENDPOINT}", "/rest.fal.ai/storage/upload/initiate"):
        await mock.http.post(path, json={}, headers={"Authorization": authorization})

    advice = "it is refused with 401. Send the word Key, then id and secret with a colon between them"
    assert warnings(caplog) == [f"{FORMS[authorization]}: {advice}"]
    assert SECRET not in caplog.text
    assert (await account(mock))["keys"] == [FORMS[authorization]]


@pytest.mark.parametrize("headers", [{}, KEY, {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}])
async def test_no_key_a_good_key_and_a_token_are_not_keys_of_a_wrong_form(
    mock: Mock, headers: dict[str, str]
) -> None:
    await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=headers)

    assert (await account(mock))["keys"] == []


async def test_a_key_that_is_not_needed_may_have_any_form(start: Any) -> None:
    mock = await start(auth=False)
    await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers={"Authorization": "Key x"})

    assert (await account(mock))["keys"] == []


async def test_an_image_of_another_machine_is_named_once(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    await mock.finish(HOSTED)
    await mock.finish(HOSTED)

    (warning,) = warnings(caplog)
    assert warning.startswith(f"{HOSTED}: this image_url was not fetched, because it is on another machine")
    assert (await account(mock))["inputs"] == [HOSTED]


async def test_an_image_in_a_list_is_named_with_its_place(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    await mock.http.post(
        "/fal-ai/nano-banana/edit", json={"prompt": "Fog", "image_urls": [HOSTED]}, headers=KEY
    )
    await mock.pass_time(60)

    assert any(f"{HOSTED}: this image_urls.0 was not fetched" in each for each in warnings(caplog))


async def test_an_image_that_cannot_be_fetched_is_named_with_the_reason(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    with respx.mock() as router:
        router.get("http://localhost:3000/cat.png").respond(404)
        await mock.finish("http://localhost:3000/cat.png")

    assert warnings(caplog) == [
        "http://localhost:3000/cat.png: this image_url could not be fetched (status 404), "
        "so its requests fail: file_download_error"
    ]


async def test_an_image_that_was_fetched_is_not_named(mock: Mock) -> None:
    with respx.mock() as router:
        router.get("http://localhost:3000/cat.png").mock(return_value=httpx.Response(200, content=b"x"))
        await mock.finish("http://localhost:3000/cat.png")

    assert (await account(mock))["inputs"] == []


async def test_signatures_and_control_characters_of_a_url_do_not_reach_the_log(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    await mock.finish(f"https://example.com/a.png?X-Amz-Signature={SECRET}")
    await mock.finish("https://example.com/\x1b[31m\nforged line")

    assert SECRET not in caplog.text
    assert not any(character in "\n\x1b" for warning in warnings(caplog) for character in warning)
    assert len((await account(mock))["inputs"]) == 2


async def test_at_most_a_hundred_things_of_a_kind_are_named(mock: Mock) -> None:
    for number in range(101):
        await mock.http.post(f"/fal-ai/model-{number}", json=GOOD, headers=KEY)

    assert len((await account(mock))["models"]) == 100


CALLS = f"""if True:
    import httpx
    fal = httpx.Client(base_url="https://queue.fal.run")
    key = {{"Authorization": "Key me:secret"}}
    fal.post("/acme/films/animate", json={{}}, headers=key)
    fal.post("/{ENDPOINT}", json={{}}, headers={{"Authorization": "Key {SECRET}"}})
    image = {{"prompt": "x", "image_url": "{HOSTED}"}}
    httpx.post("https://fal.run/{ENDPOINT}", json=image, headers=key, timeout=60)
"""


def test_falmock_run_warns_and_counts_in_its_account() -> None:
    ran = through_falmock(sys.executable, "-c", CALLS)

    for start in ("acme/films/animate: this", "a key without a colon: it", f"{HOSTED}: this"):
        assert ran.err.count(start) == 1
    assert ran.err.splitlines()[-1].endswith(
        ", 1 model not emulated, 1 wrong form of a key, 1 input not fetched"
    )
    assert SECRET not in ran.err


def test_doctor_names_what_it_was_warned_of() -> None:
    for needed in ("unshare", "ip"):
        tool(needed)
    ran = falmock("doctor", "--", sys.executable, "-c", CALLS, FALMOCK_RUN_SECONDS="0", FALMOCK_MEDIA="plain")

    assert (
        "not emulated: acme/films/animate was answered with 404\n"
        "wrong form: a key without a colon was refused with 401\n"
        f"not fetched: {HOSTED}\n"
    ) in ran.out
    assert (ran.code, SECRET in ran.out + ran.err) == (0, False)
