"""fal's own JavaScript client in a real page, through the emulator's proxy endpoint."""

from __future__ import annotations

import pytest
from programs import NODE, Ran, through_falmock, tool


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    profile = tmp_path_factory.mktemp("profile")
    return through_falmock(tool("node"), str(NODE / "page.mjs"), tool("chromium"), str(profile))


def test_a_page_follows_a_request_with_an_image_of_its_own(page: Ran) -> None:
    assert page.report["states"] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_page_may_read_the_request_id(page: Ran) -> None:
    assert len(page.report["requestId"]) == 36


def test_the_video_plays(page: Ran) -> None:
    assert page.report["moved"] is True


def test_the_video_is_as_large_and_as_long_as_was_asked(page: Ran) -> None:
    assert page.report["video"][1:] == [1280, 720, 5]


def test_a_page_gets_the_clients_error_classes(page: Ran) -> None:
    assert page.report["invalid"] == ["ValidationError", 422]


def test_a_page_may_not_have_any_address_called(page: Ran) -> None:
    assert page.report["outside"] == [400, "Invalid request"]


def test_what_a_page_says_to_a_host_that_is_not_emulated_fails(page: Ran) -> None:
    assert page.report["direct"] == "TypeError"


def test_the_account_names_both(page: Ran) -> None:
    assert page.err.splitlines()[-1].endswith("REFUSED: calls to api.fal.ai, gateway.fal.ai")


def test_no_name_of_fals_was_ever_looked_up(page: Ran) -> None:
    assert page.fals_names == ()
