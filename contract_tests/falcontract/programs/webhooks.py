"""Programs with webhooks: outcomes, retries, key rotation."""

from __future__ import annotations

from falcontract.steps import (
    HOUR,
    JWKS_PATH,
    VALID_INPUT,
    Program,
    Step,
    call,
    cancel,
    program,
    result,
    status,
    submit,
    until,
    wait,
)


def programs() -> list[Program]:
    end = [until("COMPLETED"), result()]
    in_body = {"webhookUrl": "{receivers}/body", "fal_webhook": "{receivers}/body"}
    return [
        program("webhook-ok", submit(webhook="r"), *end, wait(5)),
        program("webhook-error", submit(given={}, webhook="r"), *end, wait(5), tier=2),
        program(
            "webhook-cancelled",
            *(submit(webhook="r"), cancel(), status(), result(), wait(5)),
            *(submit("B", webhook="s"), wait(2), cancel("B"), wait(20), status("B"), result("B"), wait(5)),
            tier=3,
        ),
        program("webhook-retries", _answered(500, 0, 404, 204), *end, wait(150), tier=2),
        program("webhook-never", _answered(503), *end, wait(2 * HOUR), tier=2),
        program("webhook-redirect", _answered(302), *end, wait(60), tier=2),
        program("webhook-created", _answered(201), *end, wait(60), tier=2),
        program(
            "webhook-status",
            submit(webhook="r", check_status=True),
            submit("B", {}, webhook="s", check_status=True),
            wait(20),
            tier=2,
        ),
        program(
            "webhook-rotated",
            submit(given={}, webhook="r"),
            wait(20),
            call("GET", JWKS_PATH, host="rest", key="none"),
            submit("B", {}, webhook="s"),
            wait(20),
            tier=2,
            faults=[{"fault": "webhook_rotated_key", "after": 1}],
        ),
        program(
            "webhook-null", submit(webhook="r"), *end, wait(5), faults=[{"fault": "webhook_null_payload"}]
        ),
        program(
            "webhook-in-body",
            submit(given=VALID_INPUT | in_body),
            submit("B", {}, webhook="r"),
            *(wait(20), status(), result()),
        ),
    ]


def _answered(*answers: int) -> Step:
    return submit(given={}, webhook="r", answers=answers)
