"""The log entries of a run (PROTOCOL.md 4.4). They follow from the request's row and the seed."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.ids import rng, uuid4

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from falmock.catalogue import Catalogue
    from falmock.engine.rows import Request

FLAT: Final = {
    "level": "INFO",
    "source": "USER",
}  # fields of the JS types that the live service does not send


def entries(
    catalogue: Catalogue, request: Request, now: float, *, seed: int, flat: bool
) -> list[dict[str, Any]]:
    """Return the log entries of a request's run so far; `flat` adds `level` and `source` to the labels."""
    lines = list(_lines(catalogue, request, now, seed))
    labels = _labels(request, seed) if lines else {}
    return [_entry(at, message, labels, flat=flat) for at, message in lines]


def next_at(catalogue: Catalogue, request: Request, now: float) -> float:
    """Return the time of the next log entry; infinity for none."""
    if request.completed_at is not None:
        return math.inf
    return min((at for at, _ in _written(catalogue, request) if at > now), default=math.inf)


def _lines(catalogue: Catalogue, request: Request, now: float, seed: int) -> Iterator[tuple[float, str]]:
    until = min(now, request.completed_at or now)
    yield from ((at, message) for at, message in _written(catalogue, request) if at <= until)
    answered = request.started_at is not None and request.error_type is None
    if answered and request.completed_at is not None and request.status is not None:
        yield request.completed_at, _access_line(request, rng(seed, request.seq, "access line"))


def _written(catalogue: Catalogue, request: Request) -> Iterator[tuple[float, str]]:
    """Yield what the model writes in a whole run."""
    model = catalogue.get(request.endpoint)
    if model is not None and request.started_at is not None:
        for share, message in model.logs:
            yield request.started_at + share * request.run_seconds, message


def _access_line(request: Request, rng: random.Random) -> str:
    """Return the access line, which the runner's web server logs at the end of a call."""
    status = request.status or 0
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    peer = (
        f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}:{rng.randrange(32768, 61000)}"
    )
    return f'INFO:     {peer} - "{request.method} /{request.path} HTTP/1.1" {status} {phrase}'


def _labels(request: Request, seed: int) -> dict[str, str]:
    """Return the labels that all entries of a request share. The ids are those of the application."""
    owner, _, alias = request.application.rpartition("/")
    ids = rng(seed, request.application, "labels")
    job, node, app, gpu = (str(uuid4(ids)) for _ in range(4))
    return {
        "app": f"github_{ids.randrange(10**6, 10**8)}-{alias}",
        "app_id": app,
        "fal_endpoint": request.application,
        "fal_env": "prod",
        "fal_job_id": job,
        "fal_multiplexing_app": "1",
        "fal_node_id": node,
        "fal_public_logs": "1",
        "fal_request_id": request.id,
        "fal_user_nickname": owner.rpartition("/")[2],
        "fal_worker_id": f"fal-jobs/GPU-{gpu}/{job}",
        "isolate_source": "USER",
        "level": "INFO",
    }


def _entry(at: float, message: str, labels: dict[str, str], *, flat: bool) -> dict[str, Any]:
    timestamp = datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    own = {
        "logged_at": f"{timestamp}+00:00",
        "message": message.replace("|", "_"),
        "source": "gateway",
    }
    entry: dict[str, Any] = {"timestamp": timestamp, "message": message}
    return {**entry, **(FLAT if flat else {}), "labels": labels | own}
