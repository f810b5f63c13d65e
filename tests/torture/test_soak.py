"""Load with faults for a while: memory, tasks, descriptors, processes and files return to their level."""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
from processes import PATIENCE, Receiver
from torture import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from processes import Served
    from torture import Scale

log = logging.getLogger("torture")

CALLERS = 8
MIB = 1024 * 1024
SCENARIOS = ("flaky-network", "unreliable-webhooks", "strict-review")  # `outage` refuses every submit
MEMORY = 32 * MIB  # growth: the allocator keeps what the busiest round took
DATABASE = 8 * MIB  # growth of its files: SQLite keeps the pages that the busiest round took
THREADS = 16  # of pools, which have limits
EMPTY = 0.5 * MIB  # pages in use of a database without requests
PICTURE = {"file_name": "a.png", "content_type": "image/png"}


def abuse(server: Served, hook: str, number: int, until: float) -> Counter[str]:
    """Make all kinds of calls, and return how many of each kind succeeded."""
    done: Counter[str] = Counter()
    headers = {"Authorization": f"Key k{number}:secret"}
    while time.monotonic() < until:
        with httpx.Client(base_url=server.address, headers=headers, timeout=10) as http:
            for _ in range(20):  # then on a new connection
                if time.monotonic() >= until:
                    break
                done["turns"] += 1
                try:
                    take_turn(http, hook, done)
                except httpx.HTTPError:
                    done["broken"] += 1  # the faults break connections
    return done


def take_turn(http: httpx.Client, hook: str, done: Counter[str]) -> None:
    """Upload a file, submit a request, and cancel it, leave it alone, or download its result."""
    announced = http.post("/rest.fal.ai/storage/upload/initiate", json=PICTURE).json()
    if "upload_url" in announced and http.put(announced["upload_url"], content=bytes(5000)).is_success:
        done["uploaded"] += 1
    answer = http.post(
        f"/fal-ai/veo2/image-to-video?fal_webhook={hook}",
        json={"prompt": f"clip {done['turns']}", "image_url": "https://example.com/a.png"},
    )
    if answer.status_code != 200:
        return
    done["accepted"] += 1
    submitted = answer.json()
    http.get(submitted["status_url"] + "?logs=1")
    if done["accepted"] % 3 == 0:
        http.put(submitted["cancel_url"])
    elif done["accepted"] % 3 == 1:
        http.get(submitted["status_url"] + "/stream")  # ends when the request is completed
        result = http.get(submitted["response_url"]).json()
        if "video" in result and http.get(result["video"]["url"]).is_success:
            done["downloaded"] += 1


def load(server: Served, hook: str, seconds: float) -> Counter[str]:
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(lambda n: abuse(server, hook, n, until), range(CALLERS)), Counter())


def settle(server: Served, state: Path, idle: Usage) -> Usage:
    """Remove all requests, wait until the server is as idle as it was, and return what it uses."""
    most = dataclasses.replace(idle, descriptors=idle.descriptors + 1)  # SQLite keeps a temporary file
    assert server.http.delete("/control/rules").status_code == 204  # or this connection may be reset
    assert server.http.post("/control/reset", json={}).status_code == 200  # also restores the rules
    deadline = time.monotonic() + PATIENCE
    while True:
        usage = Usage.of(server, state)
        if all(getattr(usage, name) <= getattr(most, name) for name in ("children", "descriptors", "tasks")):
            return usage
        assert time.monotonic() < deadline, f"{usage} is more than {most}"
        assert server.http.get("/health").status_code == 200


def remains(state: Path) -> tuple[dict[str, int], int]:
    """Return the number of rows in each table of a closed database, and the bytes of its pages in use."""
    with closing(sqlite3.connect(state / "falmock.db")) as database:

        def one(query: str) -> int:
            (value,) = database.execute(query).fetchone()
            return int(value)

        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        rows = {name: one(f"SELECT count(*) FROM {name}") for (name,) in tables}  # noqa: S608 - its own names
        used = one("PRAGMA page_count") - one("PRAGMA freelist_count")
        return rows, used * one("PRAGMA page_size")


def test_memory_tasks_descriptors_processes_and_files_come_back_after_a_soak_with_faults(
    serve: Callable[..., Any], scale: Scale, state: Path
) -> None:
    faults = [word for name in SCENARIOS for word in ("--scenario", name)]
    with Receiver() as receiver, serve("--runners", "16", *faults, counted=True) as server:
        assert server.http.get("/health").status_code == 200
        idle = Usage.of(server, state)
        load(server, receiver.url, scale.soak_seconds)  # fills caches and pools once
        before = settle(server, state, idle)
        log.info("idle %s, before %s", idle, before)
        for _ in range(scale.soak_rounds):
            earlier = receiver.arrived.qsize()
            done = load(server, receiver.url, scale.soak_seconds)
            webhooks = receiver.arrived.qsize() - earlier
            after = settle(server, state, idle)
            log.info("%s, %d webhooks, after %s", dict(done), webhooks, after)
            assert min(done["accepted"], done["uploaded"], done["downloaded"], done["broken"], webhooks) > 0
        left = [path.name for folder in ("files", "inputs", "uploads") for path in (state / folder).iterdir()]
    rows, used = remains(state)

    assert left == []
    assert after.files == before.files
    assert after.threads <= THREADS
    assert after.memory - before.memory < MEMORY
    assert after.database - before.database < DATABASE
    assert {name for name, count in rows.items() if count} == {"facts"}
    assert used < EMPTY
