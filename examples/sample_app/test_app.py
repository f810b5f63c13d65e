"""The application against everything that fal may do to it. Run with: pytest examples/sample_app"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from app import Clip, create_app

if TYPE_CHECKING:
    import httpx

    from falmock.testing.harness import Harness

SUNSET = {"prompt": "A sunset", "image_url": "https://example.com/beach.jpg"}


@pytest.fixture
def told() -> list[Clip]:
    """What owners were told."""
    return []


@pytest.fixture
def http(falmock: Harness, told: list[Clip]) -> httpx.Client:
    return falmock.mount(
        "http://clips.test", create_app("http://clips.test", patience=0.2, notify=told.append)
    )


def test_success(falmock: Harness, http: httpx.Client) -> None:
    clip = http.post("/clips", json=SUNSET).json()["id"]
    done = falmock.wait(clip)

    assert f'<video controls src="{done.output["video"]["url"]}">' in http.get("/").text
    assert falmock.cost == 2.50


def test_refusal(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("content_policy_violation")
    falmock.wait(http.post("/clips", json=SUNSET).json()["id"])

    assert "A sunset: refused: please describe something else" in http.get("/").text


def test_lost_webhook(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("webhook_lost")
    falmock.wait(http.post("/clips", json=SUNSET).json()["id"])
    assert "in the making" in http.get("/").text

    http.post("/reconcile")
    assert "ready" in http.get("/").text


def test_double_delivery(falmock: Harness, http: httpx.Client, told: list[Clip]) -> None:
    falmock.fail_next("webhook_twice")
    http.post("/clips", json=SUNSET)
    falmock.advance(120)

    assert [attempt.status for attempt in falmock.webhooks[0].attempts] == [204, 204]
    assert [clip.says for clip in told] == ["ready"]


def test_locked_account(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("locked")

    assert http.post("/clips", json=SUNSET).status_code == 503
    assert "sunset" not in http.get("/").text


def test_client_time_out(falmock: Harness, http: httpx.Client, told: list[Clip]) -> None:
    falmock.fail_next("stuck_running")
    http.post("/clips", json=SUNSET)
    http.post("/reconcile")

    assert [clip.says for clip in told] == ["cancelled: it took too long"]
    assert falmock.requests[0].status_code == 499
