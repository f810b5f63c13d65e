"""fal's JavaScript client in a browser, through the emulator's proxy endpoint."""

from __future__ import annotations

import pytest
from programs import NODE, Ran, through_falmock, tool


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    profile = tmp_path_factory.mktemp("profile")
    return through_falmock(tool("node"), str(NODE / "page.mjs"), tool("chromium"), str(profile))


def test_a_page_follows_a_request_with_an_uploaded_image(page: Ran) -> None:
    assert page.report["states"] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_page_can_read_the_request_id(page: Ran) -> None:
    assert len(page.report["requestId"]) == 36


def test_the_video_plays_in_a_page(page: Ran) -> None:
    assert page.report["moved"] is True


def test_the_video_has_the_requested_size_and_duration(page: Ran) -> None:
    assert page.report["video"][1:] == [1280, 720, 5]


def test_a_page_gets_the_error_classes_of_the_client(page: Ran) -> None:
    assert page.report["invalid"] == ["ValidationError", 422]


def test_the_browser_proxy_refuses_addresses_outside_fal(page: Ran) -> None:
    assert page.report["outside"] == [400, "Invalid request"]


def test_a_direct_call_of_a_page_to_a_host_that_is_not_emulated_fails(page: Ran) -> None:
    assert page.report["direct"] == "TypeError"


def test_the_account_names_both_hosts_that_refused_a_page(page: Ran) -> None:
    assert page.err.splitlines()[-1].endswith("REFUSED: calls to api.fal.ai, gateway.fal.ai")


def test_a_page_never_looks_up_a_fal_host(page: Ran) -> None:
    assert page.fals_names == ()
