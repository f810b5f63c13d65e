"""Load with faults for a while: memory, descriptors, processes and files return to their level."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
from processes import Receiver
from torture import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from processes import Served
    from torture import Scale

log = logging.getLogger("torture")

CALLERS = 8
MIB = 1024 * 1024
SCENARIOS = ("flaky-network", "unreliable-webhooks", "outage", "strict-review")
GROWTH = 64 * MIB  # of memory, most of it in the allocator


def abuse(server: Served, hook: str, number: int, until: float) -> int:
    """Make all kinds of calls, ignore the answers, and return the number of calls."""
    calls = 0
    headers = {"Authorization": f"Key k{number}:secret"}
    while time.monotonic() < until:
        with httpx.Client(base_url=server.address, headers=headers, timeout=10) as http:
            for _ in range(20):
                calls += 1
                try:
                    answer = http.post(
                        f"/fal-ai/veo2/image-to-video?fal_webhook={hook}",
                        json={"prompt": f"clip {calls}", "image_url": "https://example.com/a.png"},
                    )
                    if answer.status_code == 200:
                        submitted = answer.json()
                        http.get(submitted["status_url"] + "?logs=1")
                        http.put(submitted["cancel_url"])
                        http.get(submitted["response_url"])
                except httpx.HTTPError:
                    continue  # the faults break connections
    return calls


def settle(server: Served) -> None:
    """Remove all rules and requests, and wait until running work has ended."""
    for path in ("/control/rules", "/control/reset"):
        method = "DELETE" if path.endswith("rules") else "POST"
        assert server.http.request(method, path, json={} if method == "POST" else None).status_code < 300


def test_memory_descriptors_processes_and_files_come_back_after_a_soak_with_faults(
    serve: Callable[..., Any], scale: Scale, state: Path
) -> None:
    faults = [word for name in SCENARIOS for word in ("--scenario", name)]
    with Receiver() as receiver, serve(*faults) as server:
        with ThreadPoolExecutor(CALLERS) as pool:  # fills caches and pools once
            list(pool.map(lambda n: abuse(server, receiver.url, n, time.monotonic() + 1), range(CALLERS)))
        settle(server)
        before = Usage.of(server)
        with ThreadPoolExecutor(CALLERS) as pool:
            until = time.monotonic() + scale.soak_seconds
            calls = sum(pool.map(lambda n: abuse(server, receiver.url, n, until), range(CALLERS)))
        settle(server)
        while Usage.of(server).children or Usage.of(server).descriptors > before.descriptors + CALLERS:
            assert server.http.get("/health").status_code == 200
        after = Usage.of(server)
        left = [path.name for folder in ("files", "inputs", "uploads") for path in (state / folder).iterdir()]

    log.info("%d calls; before %s, after %s", calls, before, after)
    assert calls > 0
    assert left == []
    assert after.threads <= before.threads + CALLERS
    assert after.memory - before.memory < GROWTH
