"""What both clients are made of: settings read once, flows put together."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from falqueue._credentials import Credentials
from falqueue._downloads import Downloads
from falqueue._files import source_of
from falqueue._flows import Flows
from falqueue._hosts import Hosts
from falqueue._requests import Job, Lifecycle, TypedRequest, job_of
from falqueue._sending import Sending
from falqueue._steps import Flow, Work
from falqueue._uploads import Uploads
from falqueue._webhooks import KeyCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falqueue._timing import Backoff

T = TypeVar("T")

USER_AGENT: Final = {"user-agent": "falqueue"}


@dataclass(frozen=True, slots=True)
class Session:
    """The flows of one client, and the two that are made of several."""

    flows: Flows
    uploads: Uploads
    downloads: Downloads
    keys: KeyCache

    def start(
        self,
        flow: Callable[[Job[Any], Mapping[str, Any]], Flow[T]],
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        *,
        check: bool,
    ) -> Flow[T]:
        """Check if asked, send the files of the input ahead, then go on with `flow`."""
        if check:
            job = yield Work(lambda: job_of(request, arguments, check=True))
        else:
            job = job_of(request, arguments, check=False)
        embedded = yield from self.uploads.embed(job.arguments)
        return (yield from flow(replace(job, arguments=embedded), options))

    def upload(
        self, file: object, name: str | None, content_type: str | None, lifecycle: Lifecycle | None
    ) -> Flow[str]:
        """Read and upload one file."""
        source = yield Work(lambda: source_of(file, name=name, content_type=content_type))
        return (yield from self.uploads.upload(source, lifecycle))


def session(
    credentials: Credentials | str | None,
    base_url: str | None,
    *,
    clock: Callable[[], float],
    wall_clock: Callable[[], float],
    luck: Callable[[], float],
    retries: Backoff,
    polls: Backoff,
) -> Session:
    """Put a session together; what is not given comes from the environment.

    Raises:
        MissingCredentials: no key was given and none is in the environment.
        UsageError: the base URL is none.
    """
    hosts = Hosts.at(base_url or os.environ.get("FALQUEUE_BASE_URL"))
    if isinstance(credentials, str):
        credentials = Credentials(credentials)
    key = credentials or Credentials.from_env(local=hosts.local)
    send = Sending(retries, luck)
    return Session(
        Flows(hosts, key, send, clock, polls),
        Uploads(hosts, key, send),
        Downloads(send),
        KeyCache(f"{hosts.rest}/.well-known/jwks.json", send, wall_clock),
    )
