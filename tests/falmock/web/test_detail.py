"""The page of one request."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from emulated import BASE, ENDPOINT, GOOD, KEY, data_uri, png
from markup import tree

from falmock.faults.vocabulary import OTHER_ERROR
from falmock.protocol.errors import PlatformError
from falmock.protocol.model_errors import MODEL_ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock
    from markup import Element

    Page = Callable[..., Awaitable[Element]]

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNKNOWN = "/ui/requests/01900000-0000-7000-8000-000000000000"


def at(submitted: Any) -> str:
    return f"/ui/requests/{submitted['request_id']}"


async def test_an_unknown_request_is_explained(mock: Mock) -> None:
    answer = await mock.http.get(UNKNOWN)

    assert (answer.status_code, "There is no such request" in answer.text) == (404, True)


async def test_the_result_of_a_request_is_shown_with_its_video(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)
    url = (await mock.result(submitted)).json()["video"]["url"]

    video = (await page(at(submitted))).one("section", id="result").one("video")
    file = await mock.http.get(video["src"])

    assert url.endswith(video["src"].removeprefix("/v3.fal.media"))
    assert (file.status_code, file.headers["content-type"]) == (200, "video/mp4")


async def test_the_image_of_an_input_is_shown(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(data_uri(png()))

    image = (await page(at(submitted))).one("section", id="input").one("img")
    answer = await mock.http.get(image["src"])

    assert (answer.content, answer.headers["content-type"]) == (png(), "image/png")
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/javascript", "text/css"])
async def test_active_content_in_an_input_is_not_served(mock: Mock, page: Page, kind: str) -> None:
    submitted = await mock.submit(data_uri(b"<script>alert(1)</script>", kind))

    shown = (await page(at(submitted))).one("section", id="input")
    answer = await mock.http.get(f"{at(submitted)}/input/image_url")

    assert (shown.all("img"), answer.status_code) == ([], 404)


async def test_an_image_on_another_host_is_named_and_not_loaded(mock: Mock, page: Page) -> None:
    shown = (await page(at(await mock.submit("https://example.com/chef.png")))).one("section", id="input")

    assert shown.all("img") == []
    assert "https://example.com/chef.png on another host" in shown.one("figcaption").text


async def test_the_course_is_drawn_with_its_steps(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)

    course = (await page(at(submitted))).one("div", id="course")

    assert [rect["class"] for rect in course.all("rect")] == ["queue", "run"]
    assert course.one("svg")["aria-label"] == "queue 1.0 s, run 4.0 s"
    assert [step.text for step in course.one("ol").all("li")] == [
        "2026-09-21 14:13:20 submitted",
        "2026-09-21 14:13:21 started",
        "2026-09-21 14:13:25 completed with 200",
    ]


@pytest.mark.parametrize("change", ["pass", "cancel"])
async def test_the_course_has_no_steps_that_a_restored_snapshot_has_undone(
    mock: Mock, page: Page, change: str
) -> None:
    submitted = await mock.submit()
    await mock.http.post("/control/snapshots", json={"name": "waiting"})
    if change == "pass":
        await mock.pass_time(60)
    else:
        await mock.cancel(submitted)

    await mock.http.post("/control/snapshots/waiting/restore")
    course = (await page(at(submitted))).one("div", id="course")

    assert [step.text.split()[-1] for step in course.one("ol").all("li")] == ["submitted"]


async def test_a_request_that_ran_again_shows_both_runs(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(headers={"x-falmock-fault": "requeued times=1"})
    await mock.pass_time(60)

    course = (await page(at(submitted))).one("div", id="course")

    assert [rect["class"] for rect in course.all("rect")] == ["queue", "run", "queue", "run"]


async def test_the_calls_of_a_request_are_listed(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.status(submitted)

    calls = (await page(at(submitted))).one("div", id="calls").all("details")

    assert [call.one("span", class_="badge").text for call in calls] == ["200", "202"]


async def test_a_call_is_shown_with_headers_and_bodies_and_without_its_key(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    link = (await page(at(submitted))).one("div", id="calls").one("a")["href"]

    shown = (await page(link)).one("div", class_="exchange")

    assert json.loads(shown.all("pre")[0].text)["prompt"] == "A lego chef cooking eggs"
    assert "Key me" in shown.text
    assert "secret" not in shown.text


async def test_of_many_calls_the_first_and_the_last_are_listed(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    for _ in range(150):
        await mock.status(submitted)

    shown = await page(at(submitted))

    assert len(shown.one("div", id="calls").all("details")) == 100
    assert "51 of 151 are left out" in shown.one("p", id="calls-left-out").text


async def test_the_cost_is_shown(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)

    assert "$2.50" in (await page(at(submitted))).one("section", id="facts").text


async def test_the_log_of_the_model_is_shown(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)

    lines = (await page(at(submitted))).one("ol", id="logs").all("li")

    assert lines[0].text.endswith("Starting video generation")


async def test_findings_of_the_client_check_are_shown(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(lenght="5s")

    assert "sent 'lenght'" in (await page(at(submitted))).one("section", id="findings").text


async def test_the_curl_line_repeats_the_request(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(prompt='it\'s a "test" & more\n$HOME `id`')
    line = (await page(at(submitted))).one("pre", id="snippet-1")

    _, url, *flags = shlex.split(line.text.replace("\\ ", ""))
    body = flags[flags.index("--data-binary") + 1]
    repeated = await mock.http.post(url, content=body, headers=KEY)

    assert (url, repeated.status_code) == (f"{BASE}/{ENDPOINT}", 200)
    assert mock.emulator.payloads.kept_body(
        mock.emulator.store.request(repeated.json()["request_id"])  # type: ignore[arg-type]
    ) == mock.emulator.payloads.kept_body(mock.emulator.store.request(submitted["request_id"]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body", [b'{"prompt": "\x1b[201~\x03\nid\n"}', b'{"prompt": "caf\xe9"}'], ids=["control", "not-utf-8"]
)
async def test_an_input_that_no_line_can_contain_is_fetched_by_curl(
    mock: Mock, page: Page, body: bytes
) -> None:
    submitted = (await mock.http.post(f"/{ENDPOINT}", content=body, headers=KEY)).json()
    line = (await page(at(submitted))).one("pre", id="snippet-1").text

    assert line.startswith(f"curl -s {BASE}{at(submitted)}/input.json |")
    assert "--data-binary @-" in line
    assert (await mock.http.get(f"{at(submitted)}/input.json")).content == body


async def test_a_large_input_is_fetched_by_the_lines_that_repeat_it(mock: Mock, page: Page) -> None:
    submitted = await mock.submit(data_uri(b"x" * 20_000))
    lines = [(await page(at(submitted))).one("pre", id=f"snippet-{n}").text for n in (1, 2, 3)]

    body = (await mock.http.get(f"{at(submitted)}/input.json")).content

    assert all(f"{BASE}{at(submitted)}/input.json" in line for line in lines)
    assert json.loads(body)["image_url"] == data_uri(b"x" * 20_000)


# Forms


@pytest.mark.parametrize(
    ("act", "badge"),
    [("hold", "In queue"), ("release", "In queue"), ("finish", "Completed"), ("fail", "Failed 422")],
)
async def test_a_request_is_steered_by_a_form(mock: Mock, page: Page, act: str, badge: str) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(
        f"{at(submitted)}/{act}", content="fault=content_policy_violation", headers=FORM
    )
    await mock.emulator.timeline.settle()
    shown = await page(at(submitted))

    assert (answer.status_code, answer.headers["location"]) == (303, at(submitted))
    assert shown.one("div", id="head").one("span", class_="badge").text == badge


async def test_a_request_fails_with_any_of_fals_errors(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    errors = [option.text for option in (await page(at(submitted))).one("select", id="fault").all("option")]
    ended = {}
    for error in errors:
        submitted = await mock.submit()
        answer = await mock.http.post(f"{at(submitted)}/fail", data={"fault": error})
        ended[error] = answer.status_code, (await mock.status(submitted)).json()["status"]

    assert set(errors) == {*MODEL_ERRORS, OTHER_ERROR, *PlatformError.STATUS}
    assert ended == dict.fromkeys(errors, (303, "COMPLETED"))


async def test_a_held_request_can_be_released(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.http.post(f"{at(submitted)}/hold")

    held = (await page(at(submitted))).one("div", id="head")
    await mock.http.post(held.all("form")[0]["action"])

    assert (await page(at(submitted))).one("button", id="hold").text == "Hold"


async def test_the_script_of_the_page_gets_a_message_instead_of_a_redirection(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(f"{at(submitted)}/hold", headers={"HX-Request": "true"})

    assert (answer.status_code, "The request is held." in answer.text) == (200, True)


async def test_a_completed_request_cannot_be_steered(mock: Mock, page: Page) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)

    answer = await mock.http.post(f"{at(submitted)}/hold")

    assert (answer.status_code, "is completed" in answer.text) == (409, True)
    assert (await page(at(submitted))).one("div", id="head").all("button", class_="danger") == []


@pytest.mark.parametrize("fault", ["", "nonsense", "webhook_twice", "<b>bold</b>"])
async def test_an_impossible_error_is_explained(mock: Mock, fault: str) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(f"{at(submitted)}/fail", data={"fault": fault})

    assert (answer.status_code, tree(answer).all("b")) == (422, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b"\xff\xfe",
        b"<script>alert(1)</script>",
        json.dumps(GOOD | {"image_url": "javascript:alert(1)"}).encode(),
        json.dumps(GOOD | {"image_url": "http://[::1"}).encode(),
        json.dumps({"</script><script>alert(1)</script>": "https://v3.fal.media/files/%00/../x"}).encode(),
        json.dumps({"data:": "data:image/png;base64,%%%"}).encode(),
    ],
)
async def test_any_input_is_shown_as_text(mock: Mock, page: Page, body: bytes) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", content=body, headers=KEY)
    await mock.pass_time(60)

    shown = await page(at(answer.json()))

    assert [script["src"].partition("?")[0] for script in shown.all("script")] == [
        "/ui/static/htmx.min.js",
        "/ui/static/hx-sse.min.js",
        "/ui/static/page.js",
    ]
    assert [link["href"] for link in shown.all("a") if not link["href"].startswith(("/", "#"))] == []
