"""Tests of the application with successes and failures of fal. Run: pytest examples/sample_app"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from app import Clip, create_app

if TYPE_CHECKING:
    import httpx

    from falmock.testing.harness import Harness

SUNSET = {"prompt": "A sunset", "image_url": "https://example.com/beach.jpg"}


@pytest.fixture
def notified() -> list[Clip]:
    """The clips for which `notify` was called."""
    return []


@pytest.fixture
def http(falmock: Harness, notified: list[Clip]) -> httpx.Client:
    return falmock.mount(
        "http://clips.test", create_app("http://clips.test", patience=0.2, notify=notified.append)
    )


def test_a_clip_is_shown_when_its_webhook_arrives(falmock: Harness, http: httpx.Client) -> None:
    clip = http.post("/clips", json=SUNSET).json()["id"]
    done = falmock.wait(clip)

    assert f'<video controls src="{done.output["video"]["url"]}">' in http.get("/").text
    assert falmock.cost == 2.50


def test_a_refusal_is_shown(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("content_policy_violation")
    falmock.wait(http.post("/clips", json=SUNSET).json()["id"])

    assert "A sunset: refused: please try another description" in http.get("/").text


def test_reconcile_finds_a_clip_whose_webhook_was_lost(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("webhook_lost")
    falmock.wait(http.post("/clips", json=SUNSET).json()["id"])
    assert "in progress" in http.get("/").text

    http.post("/reconcile")
    assert "ready" in http.get("/").text


def test_a_repeated_webhook_notifies_once(falmock: Harness, http: httpx.Client, notified: list[Clip]) -> None:
    falmock.fail_next("webhook_twice")
    http.post("/clips", json=SUNSET)
    falmock.advance(120)

    assert [attempt.status for attempt in falmock.webhooks[0].attempts] == [204, 204]
    assert [clip.status for clip in notified] == ["ready"]


def test_a_submit_fails_when_the_account_is_locked(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("locked")

    assert http.post("/clips", json=SUNSET).status_code == 503
    assert "sunset" not in http.get("/").text


def test_reconcile_cancels_a_clip_that_takes_too_long(
    falmock: Harness, http: httpx.Client, notified: list[Clip]
) -> None:
    falmock.fail_next("stuck_in_queue")
    http.post("/clips", json=SUNSET)
    http.post("/reconcile")

    assert [clip.status for clip in notified] == ["cancelled: it took too long"]
    assert falmock.requests[0].status_code == 499
