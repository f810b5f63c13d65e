"""Facts about the machine that the figures are measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from bench.load import OK, Call, drive
from bench.receiver import receiving
from bench.servers import CORES, FOR_SERVERS, PINNED
from bench.targets import HERE, aimock


def machine(seconds: float) -> dict[str, Any]:
    """Return facts about the machine, the programs, and the cost of the load generator."""
    peer = aimock()
    return {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(CORES) or os.cpu_count(),
        "pinned": PINNED,
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "busy": os.getloadavg()[0],
        "commit": _said("git", "-C", str(HERE), "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        **{package: _version(package) for package in ("uvloop", "uvicorn", "httptools", "starlette")},
        "node": _said(peer.command[0], "--version") if peer else None,
        "microseconds_of_load": _load(seconds),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _said(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _load(seconds: float) -> float:
    """Return the processor time of the load generator for a call, with a server that sends a fixed answer."""
    with receiving(FOR_SERVERS) as server:

        def talk() -> Any:
            while True:
                yield Call(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", OK)

        before = time.process_time()
        measured = drive(server.address, talk, seconds=seconds)
        return (time.process_time() - before) / len(measured.latencies) * 1e6
