"""The options of a job in headers and query."""

from __future__ import annotations

import json
from typing import Any

import pytest

import falqueue
from falqueue import Client, Lifecycle
from falqueue._requests import headers_of, query_of


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({}, {}),
        ({"priority": "normal"}, {"x-fal-queue-priority": "normal"}),
        ({"start_timeout": 30}, {"x-fal-request-timeout": "30.0"}),
        ({"start_timeout": 0.5}, {"x-fal-request-timeout": "0.5"}),
        ({"no_retry": True}, {"x-fal-no-retry": "1"}),
        ({"no_retry": False}, {}),
        ({"hint": "lora-7"}, {"x-fal-runner-hint": "lora-7"}),
        (
            {"lifecycle": Lifecycle(seconds=60)},
            {"x-fal-object-lifecycle-preference": '{"expiration_duration_seconds":60}'},
        ),
    ],
)
def test_each_option_is_sent_in_its_header(options: dict[str, Any], headers: dict[str, str]) -> None:
    assert headers_of(options) == headers


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {}),
        ({"webhook_url": "https://me.example/hook"}, {"fal_webhook": "https://me.example/hook"}),
        ({"max_queue_length": 0}, {"fal_max_queue_length": "0"}),
    ],
)
def test_webhook_url_and_queue_limit_are_sent_in_the_query(
    options: dict[str, Any], query: dict[str, str]
) -> None:
    assert query_of(options) == query


@pytest.mark.parametrize("seconds", [0.1, 0, -1, float("nan"), float("inf")])
def test_a_start_timeout_that_fal_refuses_is_rejected(client: Client, seconds: float) -> None:
    with pytest.raises(falqueue.UsageError, match=r"above 0\.1"):
        client.submit("fal-ai/veo2", {}, start_timeout=seconds)


@pytest.mark.parametrize("hint", ["a\r\nx-evil: 1", "ümlaut"])
def test_a_hint_cannot_inject_a_header(client: Client, hint: str) -> None:
    with pytest.raises(falqueue.UsageError, match="printable ASCII"):
        client.submit("fal-ai/veo2", {}, hint=hint)


def test_an_endpoint_without_arguments_is_rejected(client: Client) -> None:
    with pytest.raises(falqueue.UsageError, match="needs arguments"):
        client.submit("fal-ai/veo2")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("lifecycle", "value"),
    [
        (Lifecycle(), {}),
        (Lifecycle(access="forbid"), {"initial_acl": {"default": "forbid", "rules": []}}),
        (Lifecycle(seconds=1), {"expiration_duration_seconds": 1}),
    ],
)
def test_a_lifecycle_header_has_only_the_given_values(lifecycle: Lifecycle, value: dict[str, Any]) -> None:
    assert json.loads(lifecycle.header()) == value
