"""The runs of requests, and their tasks.

A run with an immediate outcome, such as an invalid input, needs no task. A task repeats its step while a
resource such as disk space is missing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from falmock.faults import effects
from falmock.media import RenderFailed
from falmock.protocol.errors import PlatformError, StorageUnavailable
from falmock.protocol.outcomes import Outcome
from falmock.system import transient
from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from falmock.engine.resources import Resources
    from falmock.engine.rows import Request
    from falmock.engine.runner import PreparedRun, Runner

log = logging.getLogger("falmock")

RETRY: Final = 1.0  # real seconds between attempts while the emulator cannot write


class Runs:
    """Starts and stops runs.

    Args:
        guarded: `(request_id, now, act, *arguments)` calls `act`; an error ends this request only.
        settle: `(request, outcome, now, due)` is called when an outcome is known; `due` fixes the end of the
            run, or is None.
        reschedule: is called when a step of a run has ended.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        guarded: Callable[..., None],
        settle: Callable[[Request, Outcome, float, float | None], None],
        reschedule: Callable[[], None],
    ) -> None:
        self._resources = resources
        self._settings = resources.settings
        self._clock = resources.clock
        self._store = resources.store
        self._runner = resources.runner
        self._guarded = guarded
        self._settle = settle
        self._reschedule = reschedule
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._blocked: dict[str, str] = {}  # the missing resource, by request id
        self._loading: asyncio.Future[Runner] | None = None

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The runs that have not ended."""
        return list(self._tasks)

    @property
    def request_ids(self) -> set[str]:
        """The requests whose runs have not ended."""
        return set(self._tasks.values())

    def trouble(self) -> str | None:
        """Return the missing resource that a run waits for, or None."""
        return next(iter(self._blocked.values()), None)

    def begin(self, request: Request, at: float) -> None:
        """Begin a run that started `at`."""
        if self._runner.made and request.body_file is None:
            self._carry_out(request, self._prepare(request), at, at)
        else:
            self._store.on_commit(lambda: self._employ(request, lambda: self._begin_in_thread(request, at)))

    def begin_again(self, request: Request) -> None:
        """Begin a run that was broken off, if there is one; later if the store cannot write now."""
        at = request.started_at
        if at is None:
            return

        def again() -> None:
            self._guarded(request.id, self._clock.now(), self.begin, request, at)

        async def later() -> None:
            again()

        try:
            again()
        except StorageUnavailable:
            self._employ(request, later)

    def stop(self, request_id: str) -> list[asyncio.Task[None]]:
        """Cancel a run after the commit; return its tasks."""
        tasks = [task for task, worked_on in self._tasks.items() if worked_on == request_id]
        for task in tasks:
            self._store.on_commit(task.cancel)
        return tasks

    async def close(self) -> None:
        """Cancel all runs, and wait until a runner that is being loaded can be closed."""
        for task in self._tasks:
            task.cancel()
        loading = [] if self._loading is None else [self._loading]
        await asyncio.gather(*self._tasks, *loading, return_exceptions=True)

    def _prepare(self, request: Request) -> Outcome | PreparedRun:
        return self._runner().prepare(request, self._resources.files.payloads.body(request))

    async def _begin_in_thread(self, request: Request, at: float) -> None:
        """Begin a run that needs a thread, to load the runner or to parse a large body."""
        if not self._runner.made:
            await self._load_runner()
        prepare: Callable[[], Outcome | PreparedRun] = partial(self._prepare, request)
        if request.body_file is not None:
            preparing = asyncio.ensure_future(asyncio.to_thread(prepare))
            try:
                await asyncio.wait([preparing])
            finally:
                preparing.cancel()
            prepare = preparing.result
        now = max(at, self._clock.now())

        def carry_out() -> None:
            self._carry_out(request, prepare(), at, now)

        self._guarded(request.id, now, carry_out)

    async def _load_runner(self) -> None:
        """Load the runner in a thread. The thread continues if the run is cancelled."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.ensure_future(with_descriptors(lambda: asyncio.to_thread(self._runner)))
        await asyncio.shield(self._loading)

    def _carry_out(self, request: Request, prepared: Outcome | PreparedRun, at: float, now: float) -> None:
        limit = self._settings.run_timeout
        if isinstance(prepared, Outcome):
            if prepared.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                self._resources.observed(*request.injections.chosen("pydantic_1"))
            self._settle(request, prepared, now, _end_of_rejection(request, prepared, at))
        elif limit is not None and request.run_seconds > limit:
            self._settle(request, effects.ended(PlatformError("request_timeout")), now, at + limit)
        elif (
            failure := effects.failure(request.injections, request.attempts, prepared.model_input)
        ) is not None:
            injection, outcome = failure
            self._resources.observed(injection)
            self._settle(request, outcome, now, _end_of_rejection(request, outcome, at))
        else:
            self._store.on_commit(lambda: self._employ(request, lambda: self._perform(request, prepared, at)))

    async def _perform(self, request: Request, prepared: PreparedRun, at: float) -> None:
        outcome = await self._runner().perform(prepared, request)
        now = self._clock.now()
        self._guarded(request.id, now, self._finish, request, outcome, at, now)

    def _finish(self, request: Request, outcome: Outcome, at: float, now: float) -> None:
        if outcome.status == HTTPStatus.OK:
            self._resources.observed(*request.injections.chosen(*effects.AT_SUCCESS))
        self._settle(request, outcome, now, _end_of_rejection(request, outcome, at))

    # Tasks

    def _employ(self, request: Request, step: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._retried(request, step))
        self._tasks[task] = request.id
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._blocked.pop(self._tasks.pop(task), None)

    async def _retried(self, request: Request, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except (OSError, RenderFailed, sqlite3.OperationalError, StorageUnavailable) as error:
                self._note_blocked(request.id, transient.reason(error) or str(error))
                await asyncio.sleep(RETRY)
            else:
                self._blocked.pop(request.id, None)
                self._reschedule()
                return

    def _note_blocked(self, request_id: str, reason: str) -> None:
        if request_id not in self._blocked:
            log.error("request %s waits: its outcome cannot be written (%s)", request_id, reason)
        self._blocked[request_id] = reason


def _end_of_rejection(request: Request, outcome: Outcome, at: float) -> float | None:
    """Return when a run that began `at` ends with a rejection; None for a run of the usual length."""
    if outcome.seconds is None or math.isinf(request.run_seconds):  # it is stuck
        return None
    return at + min(outcome.seconds, request.run_seconds)
