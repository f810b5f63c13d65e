from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pydantic
import pytest
import respx
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

HOOK = "http://localhost:3000/hook"


class Part(BaseModel):
    """HAR 1.2 as its specification has it: the required members, and no others without an underscore."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Pair(Part):
    name: str
    value: str


class PostData(Part):
    mime_type: str
    params: list[Pair]
    text: str


class Request(Part):
    method: str
    url: pydantic.AnyUrl
    http_version: str
    cookies: list[Pair]
    headers: list[Pair]
    query_string: list[Pair]
    headers_size: int = Field(ge=-1)
    body_size: int = Field(ge=-1)
    post_data: PostData | None = None


class Content(Part):
    size: int = Field(ge=0)
    mime_type: str
    text: str


class Response(Part):
    status: int
    status_text: str
    http_version: str
    cookies: list[Pair]
    headers: list[Pair]
    content: Content
    redirect_url: str = Field(alias="redirectURL")
    headers_size: int = Field(ge=-1)
    body_size: int = Field(ge=-1)


class Timings(Part):
    send: float = Field(ge=-1)
    wait: float = Field(ge=-1)
    receive: float = Field(ge=-1)


class HarEntry(Part):
    started_date_time: pydantic.AwareDatetime
    time: float = Field(ge=0)
    request: Request
    response: Response
    cache: dict[str, Any]
    timings: Timings


class Creator(Part):
    name: str
    version: str


class Log(Part):
    version: str = Field(pattern="^1.2$")
    creator: Creator
    entries: list[HarEntry]
    comment: str = ""


class Har(Part):
    log: Log


def plain(har: Any) -> Any:
    """Return an archive without falmock's own members."""
    if isinstance(har, list):
        return [plain(item) for item in har]
    if isinstance(har, dict):
        return {name: plain(value) for name, value in har.items() if not name.startswith("_")}
    return har


@pytest.fixture
async def har(mock: Mock) -> Any:
    """The archive of a request with a webhook, a poll and a download, and of a refused call."""
    with respx.mock(assert_all_called=False) as router:
        router.post(HOOK).mock(side_effect=[httpx.ConnectError("no"), httpx.Response(200, text="thanks")])
        submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
        await mock.status(submitted, "?logs=1")
        await mock.pass_time(60)
        url = (await mock.result(submitted)).json()["video"]["url"]
        await mock.http.get(url)
        await mock.http.post("/nobody/nothing")
    return await archive(mock)


async def archive(mock: Mock) -> Any:
    answer = await mock.http.get("/control/journal", params={"format": "har"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def test_an_archive_is_valid_har_1_2(har: Any) -> None:
    parsed = Har.model_validate(plain(har))

    assert [(entry.request.method, entry.response.status) for entry in parsed.log.entries] == [
        ("POST", 200),
        ("GET", 202),
        ("POST", 0),
        ("POST", 200),
        ("GET", 200),
        ("GET", 200),
        ("POST", 404),
    ]


async def test_urls_in_an_archive_have_the_fal_host(har: Any) -> None:
    submit, poll, *_ = har["log"]["entries"]

    assert submit["request"]["url"].startswith("https://queue.fal.run/fal-ai/veo2/image-to-video?")
    assert poll["request"]["queryString"] == [{"name": "logs", "value": "1"}]


async def test_json_bodies_are_text_in_an_archive(har: Any) -> None:
    submit, *_, refused = har["log"]["entries"]

    assert json.loads(submit["request"]["postData"]["text"])["prompt"] == "A lego chef cooking eggs"
    assert json.loads(refused["response"]["content"]["text"]) == {
        "detail": 'Application "nobody/nothing" not found'
    }


async def test_a_downloaded_file_has_only_its_size_in_an_archive(har: Any) -> None:
    content = har["log"]["entries"][5]["response"]["content"]

    assert (content["mimeType"], content["text"], content["size"] > 1000) == ("video/mp4", "", True)


async def test_webhook_attempts_are_in_an_archive(har: Any) -> None:
    lost, arrived = (each for each in har["log"]["entries"] if each["_operation"] == "webhook")

    assert (lost["request"]["url"], lost["_error"]) == (HOOK, "cannot connect")
    assert arrived["response"]["content"]["text"] == "thanks"


async def test_an_archive_reports_how_many_entries_were_dropped(har: Any, start: Start) -> None:
    small = await start(journal_size=5000)
    for _ in range(30):
        await small.get("/nobody/nothing")

    log = (await archive(small))["log"]

    assert "comment" not in har["log"]
    assert log["comment"] == f"{30 - len(log['entries'])} older entries are missing"
    assert 0 < len(log["entries"]) < 30
