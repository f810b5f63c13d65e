"""Programs whose webhooks show bytes, headers, keys, addresses and clocks."""

from __future__ import annotations

from falcontract.steps import (
    HOUR,
    JWKS_PATH,
    VALID_INPUT,
    Program,
    call,
    program,
    result,
    submit,
    until,
    wait,
)

LETTERS = '\u00e9\u4e16\U0001f469 <&>/\\"'


def programs() -> list[Program]:
    odd = VALID_INPUT | {"duration": LETTERS}
    return [
        program(
            "webhook-bytes",
            *(submit(webhook="r"), submit("B", odd, webhook="s"), submit("C", {}, webhook="t", key="b")),
            *(submit("D", {}, webhook="u"), until("COMPLETED"), result(), until("COMPLETED", "B")),
            *(result("B"), wait(20), call("GET", JWKS_PATH, host="rest", key="none")),
            tier=4,
        ),
        program(
            "webhook-address",
            submit("A", {}, webhook="r", webhook_path="/a%20b/%C3%A9?x=1&y=%2F+z&x=2"),
            submit("B", {}, webhook="s", webhook_path="?token=a%3Db"),
            submit("C", {}, webhook="t", webhook_path="/"),
            wait(20),
            tier=2,
        ),
        program("webhook-gaps", submit("A", {}, webhook="r", answers=(400,)), wait(HOUR), tier=2),
        program(
            "webhook-clocks",
            *(submit("A", {}, webhook="r", answers=(500, 200)), wait(60)),
            *(submit("B", webhook="s"), wait(HOUR)),
            ahead=7 * HOUR,
        ),
    ]
