"""The parts that both clients share, configured once."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar

from falqueue._credentials import Credentials
from falqueue._downloads import Downloads
from falqueue._files import source_of
from falqueue._flows import Flows
from falqueue._hosts import Hosts
from falqueue._requests import job_of, known_options
from falqueue._sending import POLLS, RETRIES, Backoff, Sender
from falqueue._steps import Flow, RunBlocking
from falqueue._uploads import Uploads
from falqueue._veo2 import File
from falqueue._webhooks import KeyCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from falqueue._requests import Job, Lifecycle
    from falqueue._types import TypedRequest

T = TypeVar("T")

USER_AGENT: Final = {"user-agent": "falqueue"}


@dataclass(frozen=True, slots=True)
class Session:
    flows: Flows
    uploads: Uploads
    downloads: Downloads
    keys: KeyCache

    def start(
        self,
        flow: Callable[[Job[Any], Mapping[str, Any]], Flow[T]],
        kind: type,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None,
        *,
        check: bool = False,
        **given: Any,
    ) -> Flow[T]:
        """Check the input if `check`, upload its files, and continue with `flow`. `kind` has its options."""
        options = known_options(given, kind)
        if check and not isinstance(request, str):
            yield RunBlocking(request.check)
        job = job_of(request, arguments)
        embedded = yield from self.uploads.embed(job.arguments)
        return (yield from flow(replace(job, arguments=embedded), options))

    def upload(
        self, file: object, name: str | None, content_type: str | None, lifecycle: Lifecycle | None
    ) -> Flow[str]:
        source = yield RunBlocking(lambda: source_of(file, name=name, content_type=content_type))
        return (yield from self.uploads.upload(source, lifecycle))

    def download(self, file: File | str, target: str | PathLike[str]) -> Flow[Path]:
        url, size = (file.url, file.file_size) if isinstance(file, File) else (file, None)
        return self.downloads.fetch(url, Path(target), size)


class ClientOptions(TypedDict, total=False):
    """Options of both clients; see `Client`.

    `clock` returns monotonic seconds, `wall_clock` Unix seconds, `rng` numbers in [0, 1).
    """

    base_url: str | None
    retries: Backoff
    polls: Backoff
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    rng: Callable[[], float]


def open_session(
    credentials: Credentials | str | None,
    *,
    base_url: str | None = None,
    retries: Backoff = RETRIES,
    polls: Backoff = POLLS,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
    rng: Callable[[], float] = random.random,
) -> Session:
    """Return a session. Missing credentials and base URL are read from the environment."""
    hosts = Hosts.at(base_url or os.environ.get("FALQUEUE_BASE_URL"))
    if isinstance(credentials, str):
        credentials = Credentials(credentials)
    key = credentials or Credentials.from_env(local=hosts.local)
    sender = Sender(retries, rng, clock)
    return Session(
        Flows(hosts, key, sender, polls),
        Uploads(hosts, key, sender),
        Downloads(sender),
        KeyCache(f"{hosts.rest}/.well-known/jwks.json", sender, wall_clock),
    )
