"""The page of a model, with its form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from emulated import BASE, ENDPOINT, HOSTED, KEY, data_uri, png, veo
from markup import tree

from falmock.catalogue import Catalogue
from falmock.engine.queue import LOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from emulated import Mock
    from markup import Element

    from falmock.engine.rows import Request

    Page = Callable[..., Awaitable[Element]]
    Start = Callable[..., Awaitable[Mock]]

AT = f"/ui/models/{ENDPOINT}"
GOOD = {"value.prompt": "A lego chef", "value.image_url": HOSTED}
HOSTILE = "</textarea><script>alert(1)</script>\"' onfocus=alert(2) {{ 7*7 }} \u202e"


async def send(mock: Mock, texts: dict[str, Any], at: str = AT, **files: Any) -> httpx.Response:
    """Send the form as a browser does, with an empty file for each control that has none."""
    parts = {f"file.{name}": file for name, file in files.items()} or {"file.image_url": ("", b"")}
    return await mock.http.post(at, data=texts, files=parts)


def submitted(mock: Mock, answer: httpx.Response) -> Request:
    """Return the request that a form has submitted."""
    assert answer.status_code == 303, answer.text
    stored = mock.emulator.store.request(answer.headers["location"].removeprefix("/ui/requests/"))
    assert stored is not None
    return stored


def given(mock: Mock, answer: httpx.Response) -> Any:
    """Return the input of the request that a form has submitted."""
    return json.loads(mock.emulator.payloads.kept_body(submitted(mock, answer)))


def filled(form: Element) -> dict[str, str]:
    """Return what a browser sends of a form without a change, besides its files."""
    texts: dict[str, Any] = {}
    for control in form.all():
        name = control.attributes.get("name")
        kind = control.attributes.get("type")
        if name is None or kind == "file" or (kind == "checkbox" and "checked" not in control.attributes):
            continue
        if control.tag == "textarea":
            texts[name] = "".join(map(str, control.children)).removeprefix("\n").replace("\n", "\r\n")
        elif control.tag == "select":
            chosen = [option for option in control.all("option") if "selected" in option.attributes]
            option = (chosen or control.all("option"))[0]
            texts[name] = option.attributes.get("value", option.text)
        elif kind == "checkbox":
            texts.setdefault(name, []).append(control.attributes.get("value", "on"))
        else:
            texts[name] = control["value"]
    return texts


# The page


async def test_the_page_has_price_certainty_and_schema(page: Page) -> None:
    shown = await page(AT)

    assert "$0.50 per second" in shown.one("p", class_="summary").text
    assert "from fal's page of the model" in shown.one("dl", class_="facts").text
    assert [row.one("th").text for row in shown.all("tbody")[0].all("tr")] == [
        "prompt required",
        "image_url required",
        "aspect_ratio",
        "duration",
    ]
    assert "video. url required" in [row.one("th").text for row in shown.all("tbody")[1].all("tr")]


async def test_an_unknown_model_is_explained(mock: Mock) -> None:
    answer = await mock.http.get("/ui/models/fal-ai/veo2/image-to-vidio")

    assert (answer.status_code, f"did you mean {ENDPOINT}?" in answer.text) == (404, True)


async def test_the_controls_follow_the_schema(page: Page) -> None:
    form = (await page("/ui/models/fal-ai/flux-lora")).one("form", class_="playground")

    steps = form.one("input", name="value.num_inference_steps")
    assert (steps["type"], steps["min"], steps["max"], steps["step"]) == ("number", "1", "50", "1")
    assert form.one("input", name="value.guidance_scale")["step"] == "any"
    assert "required" in form.one("textarea", name="value.prompt").attributes
    assert [option.text for option in form.one("select", name="value.output_format").all("option")] == [
        "default: jpeg",
        "jpeg",
        "png",
    ]
    assert [option.text for option in form.one("select", name="value.sync_mode").all("option")] == [
        "default: false",
        "true",
        "false",
    ]
    assert '"path"' in form.one("p", class_="sample").text


async def test_every_control_has_a_label(page: Page) -> None:
    form = (await page("/ui/models/fal-ai/flux-lora")).one("form", class_="playground")
    labels = {label.attributes.get("for") for label in form.all("label")}
    controls = [each for tag in ("input", "select", "textarea") for each in form.all(tag)]

    assert [each["name"] for each in controls if each["id"] not in labels] == []


async def test_a_model_without_known_fields_takes_any_json(mock: Mock, page: Page) -> None:
    at = "/ui/models/openrouter/router/openai/v1/chat/completions"

    answer = await send(mock, {"more": '{"messages": []}'}, at)

    assert "Any JSON" in (await page(at)).text
    assert given(mock, answer) == {"messages": []}


@pytest.mark.parametrize("where", ["description", "title", "default", "enum", "name"])
async def test_hostile_schemas_stay_text(start: Start, where: str) -> None:
    field: dict[str, Any] = {"type": "string"}
    name = HOSTILE if where == "name" else "prompt"
    if where != "name":
        field[where] = [HOSTILE] if where == "enum" else HOSTILE
    schemas = {"Input": {"type": "object", "properties": {name: field}}, "Output": {}}
    mock = await start(catalogue=Catalogue([veo(schemas=schemas, input="Input", output="Output")]))

    shown = tree(await mock.http.get(AT))

    assert len(shown.all("script")) == 4
    assert not any("onfocus" in element.attributes for element in shown.all())


# Submit


async def test_a_form_submits_a_request_and_leads_to_its_page(mock: Mock, page: Page) -> None:
    answer = await send(mock, {**GOOD, "value.duration": "6s", "value.aspect_ratio": ""})
    stored = submitted(mock, answer)

    assert given(mock, answer) == {"prompt": "A lego chef", "image_url": HOSTED, "duration": "6s"}
    assert (stored.caller, stored.endpoint, stored.content_type) == ("page", ENDPOINT, "application/json")
    assert ENDPOINT in (await page(answer.headers["location"])).one("h1").text


async def test_a_request_from_the_form_makes_a_video(mock: Mock, page: Page) -> None:
    answer = await send(mock, GOOD)
    await mock.pass_time(60)

    video = (await page(answer.headers["location"])).one("section", id="result").one("video")
    assert (await mock.http.get(video["src"])).headers["content-type"] == "video/mp4"


async def test_what_the_model_refuses_is_shown_on_the_page_of_the_request(mock: Mock, page: Page) -> None:
    answer = await send(mock, {"value.prompt": "", "value.duration": "9s"})
    await mock.pass_time(60)

    shown = await page(answer.headers["location"])
    assert shown.one("div", id="head").one("span", class_="badge").text == "Failed 422"
    assert [each["loc"] for each in json.loads(shown.one("pre", id="result-text").text)["detail"]] == [
        ["body", "prompt"],
        ["body", "image_url"],
        ["body", "duration"],
    ]


async def test_a_file_is_put_on_the_cdn(mock: Mock) -> None:
    answer = await send(mock, GOOD, image_url=("chef.png", png(), "image/png"))
    url = given(mock, answer)["image_url"]
    file = await mock.http.get(url)

    assert url.startswith(f"{BASE}/v3b.fal.media/files/b/")
    assert (file.content, file.headers["content-type"]) == (png(), "image/png")


async def test_the_model_gets_the_file(mock: Mock) -> None:
    answer = await send(mock, {"value.prompt": "x"}, image_url=("tiny.png", png(8, 8), "image/png"))
    await mock.pass_time(60)

    stored = mock.emulator.request(submitted(mock, answer).id)
    assert stored is not None
    assert stored.status == 200


async def test_several_files_are_added_to_the_urls(mock: Mock) -> None:
    files = [("file.image_urls", (f"{n}.png", png(8 + n, 8), "image/png")) for n in range(2)]

    answer = await mock.http.post(
        "/ui/models/fal-ai/nano-banana/edit",
        data={"value.prompt": "x", "value.image_urls": f"{HOSTED}\r\n"},
        files=files,
    )

    first, *others = given(mock, answer)["image_urls"]
    assert (first, [url.rpartition("_")[2] for url in others]) == (HOSTED, ["0.png", "1.png"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("<img src=x onerror=alert(1)>.png", "image/png"), ("../../x", "text/html"), ("x.svg", "image/svg+xml")],
)
async def test_a_hostile_file_is_served_in_a_sandbox(mock: Mock, name: str, kind: str) -> None:
    answer = await send(mock, GOOD, image_url=(name, b"<script>alert(1)</script>", kind))
    url = given(mock, answer)["image_url"]
    file = await mock.http.get(url)

    assert not {"<", "..", "\n"} & set(url)
    assert (file.headers["content-security-policy"], file.headers["x-content-type-options"]) == (
        "sandbox",
        "nosniff",
    )


async def test_line_breaks_of_a_browser_are_those_of_json(mock: Mock) -> None:
    answer = await send(mock, {**GOOD, "value.prompt": "one\r\ntwo"})

    assert given(mock, answer)["prompt"] == "one\ntwo"


async def test_options_are_those_of_a_submit(mock: Mock) -> None:
    options = {
        "webhook": "http://127.0.0.1:9/hook",
        "priority": "low",
        "test": "checkout",
        "fault": "slow; webhook_twice",
    }

    stored = submitted(mock, await send(mock, {**GOOD, **options}))

    assert (stored.webhook, stored.priority, stored.test) == ("http://127.0.0.1:9/hook", LOW, "checkout")
    assert list(stored.injections) == ["slow", "webhook_twice"]


async def test_a_trigger_in_a_prompt_works_as_for_a_program(mock: Mock) -> None:
    answer = await send(mock, {**GOOD, "value.prompt": "x [[fal: content_policy_violation]]"})

    assert list(submitted(mock, answer).injections) == ["content_policy_violation"]


async def test_a_request_from_the_form_meets_the_rules_in_force(mock: Mock) -> None:
    await mock.http.post("/control/rules", json={"fault": "image_too_small", "endpoint": ENDPOINT})

    assert list(submitted(mock, await send(mock, GOOD)).injections) == ["image_too_small"]


@pytest.mark.parametrize(
    ("texts", "control"),
    [
        ({"more": "{"}, "more"),
        ({"more": "[]"}, "more"),
        ({"webhook": "localhost"}, "webhook"),
        ({"webhook": "https://queue.fal.run/x"}, "webhook"),
        ({"test": "x" * 201}, "test"),
        ({"fault": "nonsense"}, "fault"),
        ({"fault": "rate_limited"}, "fault"),
        ({"fault": "slow;" * 1000}, "fault"),
        ({"value.prompt": "[[fal: nonsense]]"}, "fault"),
    ],
)
async def test_a_problem_is_shown_in_the_form_with_all_that_was_typed(
    mock: Mock, texts: dict[str, str], control: str
) -> None:
    answer = await send(mock, GOOD | texts)
    form = tree(answer).one("form", class_="playground")
    (wrong,) = [each for each in form.all() if each.attributes.get("name") == control]

    assert (answer.status_code, wrong["aria-invalid"]) == (422, "true")
    assert {name: text for name, text in filled(form).items() if text} == GOOD | texts
    assert mock.emulator.store.count_requests() == (0, 0)


async def test_a_file_is_kept_when_the_form_has_a_problem(mock: Mock) -> None:
    answer = await send(mock, {**GOOD, "more": "{"}, image_url=("chef.png", png(), "image/png"))

    url = filled(tree(answer).one("form", class_="playground"))["value.image_url"]
    assert (await mock.http.get(url)).content == png()


async def test_the_options_are_open_if_one_of_them_is_wrong(mock: Mock, page: Page) -> None:
    wrong = tree(await send(mock, {**GOOD, "value.prompt": "[[fal: nonsense]]"}))

    assert "open" not in (await page(AT)).one("details", class_="options").attributes
    assert "open" in wrong.one("details", class_="options").attributes
    assert [each["name"] for each in wrong.all() if "autofocus" in each.attributes] == ["fault"]


async def test_the_stream_of_an_unknown_model_is_refused(mock: Mock) -> None:
    assert (await mock.http.get("/ui/live/ui/models/fal-ai/nothing")).status_code == 404


async def test_hostile_texts_stay_text(mock: Mock) -> None:
    answer = await send(
        mock, {"value.prompt": HOSTILE, "value.duration": HOSTILE, "test": HOSTILE, "more": "{"}
    )
    shown = tree(answer)

    assert filled(shown.one("form", class_="playground"))["value.prompt"] == HOSTILE
    assert len(shown.all("script")) == 4
    assert not any("onfocus" in element.attributes for element in shown.all())


async def test_a_locked_account_submits_nothing(mock: Mock) -> None:
    mock.emulator.manual.lock("page")

    answer = await send(mock, GOOD)

    assert (answer.status_code, "is locked" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"value.prompt=x", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"--y\r\n", 400),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
            400,
        ),
    ],
)
async def test_another_body_than_a_form_is_refused(mock: Mock, kind: str, body: bytes, status: int) -> None:
    answer = await mock.http.post(AT, content=body, headers={"Content-Type": kind})

    assert (answer.status_code, mock.emulator.store.count_requests()) == (status, (0, 0))


async def test_a_file_beyond_the_limit_is_refused(start: Start) -> None:
    mock = await start(max_upload=1000)

    answer = await send(mock, GOOD, image_url=("large.png", b"x" * 1001, "image/png"))

    assert (answer.status_code, "more bytes" in answer.text) == (413, True)


async def test_an_input_beyond_the_limit_is_refused(start: Start) -> None:
    mock = await start(max_body=1000)

    answer = await send(mock, GOOD | {"more": json.dumps({"x": "y" * 990})})

    assert (answer.status_code, "more than 1000 bytes" in answer.text) == (422, True)


# Repeat


async def repeated(mock: Mock, page: Page, request_id: str) -> Element:
    """Return the form that repeats a request, as the page of the request leads to it."""
    links = (await page(f"/ui/requests/{request_id}")).all("a", class_="button")
    (link,) = [link["href"] for link in links if link.text.startswith("Repeat")]
    return (await page(link)).one("form", class_="playground")


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "A lego chef", "image_url": HOSTED, "duration": "6s", "aspect_ratio": "16:9"},
        {"prompt": "two\nlines", "image_url": "", "lenght": "5s", "more": {"a": [1.0, None]}},
        {"prompt": 5, "duration": None, "image_url": [HOSTED]},
        {"prompt": HOSTILE, "image_url": "\u0000\ud800"},
        {"prompt": "\n\n leading", "image_url": data_uri(png())},
        {"prompt": "x" * 60_000, "image_url": "https://user:secret@example.com/x?token=abcdefgh"},
        {"prompt": "x", "a": {"image_url": data_uri(png(64, 64))}, HOSTILE: HOSTILE},
        {},
    ],
)
async def test_a_repeated_request_has_the_same_input(mock: Mock, page: Page, body: Any) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", content=json.dumps(body), headers=KEY)

    form = await repeated(mock, page, answer.json()["request_id"])
    again = await send(mock, filled(form))

    assert given(mock, again) == body


async def test_a_repeated_request_has_the_same_options(mock: Mock, page: Page) -> None:
    first = await mock.submit(
        query="?fal_webhook=http://127.0.0.1:9/hook?token=abc",
        headers={"x-fal-queue-priority": "low", "x-falmock-test": "checkout"},
    )

    form = await repeated(mock, page, first["request_id"])
    stored = submitted(mock, await send(mock, filled(form)))

    assert (stored.webhook, stored.priority, stored.test) == (
        "http://127.0.0.1:9/hook?token=abc",
        LOW,
        "checkout",
    )
    assert "abc" not in form.text


async def test_a_value_of_the_request_gives_way_to_a_new_one(mock: Mock, page: Page) -> None:
    first = await mock.submit(data_uri(png()))

    form = await repeated(mock, page, first["request_id"])
    again = await send(mock, filled(form) | {"value.image_url": HOSTED})

    assert given(mock, again)["image_url"] == HOSTED


async def test_a_secret_in_an_input_is_not_shown(mock: Mock, page: Page) -> None:
    first = await mock.submit(openai_api_key="sk-12345678")

    form = await repeated(mock, page, first["request_id"])

    assert "sk-12345678" not in str([filled(form), form.text])
    assert given(mock, await send(mock, filled(form)))["openai_api_key"] == "sk-12345678"


@pytest.mark.parametrize("body", [b"{", b"[1]", b"5", b""])
async def test_an_input_that_is_no_object_is_not_repeated(mock: Mock, page: Page, body: bytes) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", content=body, headers=KEY)

    shown = await page(AT, request=answer.json()["request_id"])

    assert "the fields are empty" in shown.one("p", class_="note").text


@pytest.mark.parametrize("request_id", ["", "x", "01900000-0000-7000-8000-000000000000"])
async def test_a_request_that_is_gone_cannot_be_repeated(mock: Mock, request_id: str) -> None:
    answer = await mock.http.get(AT, params={"request": request_id})
    posted = await send(mock, {**GOOD, "request": "01900000-0000-7000-8000-000000000000"})

    assert (answer.status_code, posted.status_code) == (404, 404)


async def test_a_page_of_another_origin_may_not_submit(mock: Mock) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    answer = await mock.http.post(AT, data=GOOD, files={"file.image_url": ("", b"")}, headers=headers)

    assert (answer.status_code, mock.emulator.store.count_requests()) == (403, (0, 0))
