"""The tests of a project that has falmock installed and no other setup.

tests/falmock/testing/test_plugin.py runs them in a separate process and knows the expected outcomes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.settings import Settings
    from falmock.testing.harness import Harness

ENDPOINT = "fal-ai/veo2/image-to-video"
GOOD = {"prompt": "A lego chef", "image_url": "https://example.com/chef.png"}
LOCKED = pytest.mark.falmock(scenarios=("locked",))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_code_under_test_needs_no_change(falmock: Harness) -> None:
    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    assert falmock.cost == 2.5


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_fresh_emulator(falmock: Harness, turn: int) -> None:
    assert falmock.requests == []
    falmock.wait(fal_client.submit(ENDPOINT, GOOD).request_id)


@pytest.mark.anyio
async def test_an_asynchronous_test_can_use_the_emulator(falmock: Harness) -> None:
    assert "video" in await fal_client.subscribe_async(ENDPOINT, GOOD)


@pytest.mark.parametrize("name", ["a", "b/c d"])
def test_the_key_is_named_after_the_test(falmock: Harness, name: str) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)
    tail = {"a": "a-", "b/c d": "b-c-d-"}[name]
    assert falmock.requests[0].key_id == f"test-test_the_key_is_named_after_the_test-{tail}"


def test_polls_pass_time_if_the_configuration_says_so(falmock: Harness, pytestconfig: pytest.Config) -> None:
    assert falmock.polls_pass_time == pytestconfig.getini("falmock_polls_pass_time")


class TestAnotherKey:
    @pytest.fixture
    def falmock_key(self) -> str:
        return "mine:secret"

    def test_the_fixture_sets_the_key(self, falmock: Harness) -> None:
        fal_client.subscribe(ENDPOINT, GOOD)
        assert (os.environ["FAL_KEY"], falmock.requests[0].key_id) == ("mine:secret", "mine")


class TestOtherSettings:
    @pytest.fixture
    def falmock_settings(self, falmock_settings: Settings) -> Settings:
        return replace(falmock_settings, locked=("test-test_the_fixture_sets_the_settings",))

    def test_the_fixture_sets_the_settings(self, falmock: Harness) -> None:
        with pytest.raises(fal_client.FalClientHTTPError, match="locked"):
            fal_client.submit(ENDPOINT, GOOD)


@LOCKED
class TestAMark:
    def test_a_mark_applies_to_all_tests_of_a_class(self, falmock: Harness) -> None:
        with pytest.raises(fal_client.FalClientHTTPError, match="locked"):
            fal_client.submit(ENDPOINT, GOOD)

    @pytest.mark.falmock(scenarios=())
    def test_the_closest_mark_wins(self, falmock: Harness) -> None:
        assert "video" in fal_client.subscribe(ENDPOINT, GOOD)

    @pytest.mark.falmock(polls_pass_time=False, scenarios=())
    def test_a_mark_can_stop_the_clock(self, falmock: Harness) -> None:
        handle = fal_client.submit(ENDPOINT, GOOD)
        assert [type(handle.status()) for _ in range(2)] == [fal_client.Queued] * 2
        falmock.wait(handle.request_id)


def test_a_program_in_another_process_reaches_the_server(falmock_server: Harness) -> None:
    program = (
        "import sys, httpx\n"
        "with httpx.Client(headers={'Authorization': 'Key me:secret'}) as http:\n"
        "    submitted = http.post(sys.argv[1], json={}).json()\n"
        "    while http.get(submitted['status_url']).json()['status'] != 'COMPLETED':\n"
        "        pass\n"
    )
    subprocess.run([sys.executable, "-c", program, f"{falmock_server.address}/{ENDPOINT}"], check=True)
    assert falmock_server.requests[0].status_code == 422


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the code under test, which are not waited for."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(fal_client.client, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": pause}))
    return pauses


def test_fal_client_waits_before_it_sends_a_call_again(falmock: Harness, slept: list[float]) -> None:
    falmock.fail_next("bad_gateway", on="result", times=9)

    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    assert sum(slept) > 16


@pytest.mark.anyio
@pytest.mark.usefixtures("falmock_no_backoff")
async def test_the_back_off_of_fal_client_can_be_skipped(falmock: Harness, slept: list[float]) -> None:
    falmock.fail_next("bad_gateway", on="result", times=9)
    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    falmock.fail_next("bad_gateway", on="result", times=9)
    assert "video" in await fal_client.subscribe_async(ENDPOINT, GOOD)
    assert len(slept) >= 18
    assert set(slept) == {0.0, fal_client.client.DEFAULT_QUEUE_POLL_INTERVAL}


LEAKS: dict[str, Any] = {
    "httpx": lambda: httpx.get("https://gateway.fal.ai/"),
    "urllib": lambda: urllib.request.urlopen("https://queue.fal.run/"),
    "requests": lambda: requests.get("https://queue.fal.run/", timeout=9),
    "socket": lambda: socket.create_connection(("fal.media", 443)),
}


@pytest.mark.parametrize("library", LEAKS)
def test_that_swallows_a_leak_fails(falmock: Harness, library: str) -> None:
    with suppress(Exception):
        LEAKS[library]()


def test_a_test_may_clear_its_leaks(falmock: Harness) -> None:
    with pytest.raises(AssertionError, match=r"gateway\.fal\.ai"):
        httpx.get("https://gateway.fal.ai/")
    falmock.leaks.clear()


@pytest.fixture
def leaky(falmock: Harness) -> Iterator[None]:
    yield
    with pytest.raises(AssertionError):
        httpx.get("https://gateway.fal.ai/")


def test_a_leak_in_the_teardown_is_an_error(leaky: None) -> None:
    pass


def test_that_makes_a_mistake(falmock: Harness) -> None:
    with httpx.Client(headers={"Authorization": "Bearer me:secret"}) as http:
        http.post(f"https://queue.fal.run/{ENDPOINT}", json=GOOD)
    assert [finding.rule for finding in falmock.lint()] == ["bearer-key"]


def test_that_fails(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)
    assert falmock.cost == 0


def test_that_leaves_a_fault_open(falmock: Harness) -> None:
    falmock.fail_next("locked")
