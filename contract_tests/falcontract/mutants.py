"""Faults: the emulator with one thing wrong, each a patch of one place, applied while it runs.

They show that the properties have teeth. A fault is a function that is given a `Patch`; its name is the
fault's, its docstring says what is wrong. Nothing of the emulator is copied: where a fault needs what a
function usually does, it calls that function.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from falmock import models
from falmock.engine import (
    emulator,
    keys,
    object_lifecycle,
    queue,
    runner,
    signing,
    steps,
    transitions,
    webhooks,
)
from falmock.faults import effects
from falmock.http import access, guard, submission
from falmock.http import queue as wire
from falmock.media import images
from falmock.models import veo
from falmock.protocol import endpoints, errors, hosts, validation
from falmock.protocol.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DONE: Final = "COMPLETED"


class Patch:
    """Sets attributes, and sets them back."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Give an attribute another value."""
        self._undo.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, value)

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put something of ours in place of a function, made with the function at hand."""
        self.set(owner, name, make(getattr(owner, name)))

    def item(self, owner: dict[Any, Any], key: Any, value: Any) -> None:
        """Give a table another entry."""
        before = dict(owner)
        self._undo.append((owner, "", before))
        owner[key] = value

    def undo(self) -> None:
        """Set everything back."""
        for owner, name, value in reversed(self._undo):
            if name:
                setattr(owner, name, value)
            else:
                owner.clear()
                owner.update(value)
        self._undo.clear()


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    name: str
    fault: str
    apply: Callable[[Patch], None]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the fault for as long as this is open."""
        patch = Patch()
        try:
            self.apply(patch)
            yield
        finally:
            patch.undo()


MUTANTS: Final[dict[str, Mutant]] = {}


def mutant(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Register a fault."""
    name = apply.__name__.replace("_", "-")
    MUTANTS[name] = Mutant(name, (apply.__doc__ or "").strip(), apply)
    return apply


def _changing(patch: Patch, change: Callable[[dict[str, Any], Any], None]) -> None:
    """Let a status object be changed before it is told; `change` gets it and the stored request."""

    def make(usual: Any) -> Any:
        def describe(self: Any, request: Any, found: Any, *, with_logs: bool) -> dict[str, Any]:
            told: dict[str, Any] = usual(self, request, found, with_logs=with_logs)
            change(told, found)
            return told

        return describe

    patch.wrap(wire.QueueHost, "_describe", make)


def _answering(patch: Patch, name: str, change: Callable[[Response, Any], Response]) -> None:
    """Let an answer of the queue host be changed; `change` gets it and the stored request."""

    def make(usual: Any) -> Any:
        return lambda self, request, found: change(usual(self, request, found), found)

    patch.wrap(wire.QueueHost, name, make)


def _refusing(patch: Patch, kind: type, change: Callable[[Any], None]) -> None:
    """Let a refusal be changed after it was made."""

    def make(usual: Any) -> Any:
        def init(self: Any, *args: Any, **more: Any) -> None:
            usual(self, *args, **more)
            change(self)

        return init

    patch.wrap(kind, "__init__", make)


def _with_body(response: Response, body: Any, status: int | None = None) -> Response:
    content = body if isinstance(body, bytes) else errors.compact(body)
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    return Response(content, status or response.status_code, headers)


def _submitting(patch: Patch, change: Callable[[Response], Response]) -> None:
    def make(usual: Any) -> Any:
        async def submit(self: Any, request: Any, path: str) -> Response:
            return change(await usual(self, request, path))

        return submit

    patch.wrap(wire.QueueHost, "_submit", make)


def _reshaped(change: Callable[[dict[str, Any]], Any]) -> Callable[[Response], Response]:
    def reshape(response: Response) -> Response:
        told = json.loads(bytes(response.body))
        return _with_body(response, change(told) or told)

    return reshape


# Submitting


@mutant
def submit_says_202(patch: Patch) -> None:
    """A submit is answered 202."""
    _submitting(patch, lambda r: _with_body(r, bytes(r.body), 202))


@mutant
def submit_says_in_progress(patch: Patch) -> None:
    """A submit is answered with IN_PROGRESS."""
    _submitting(patch, _reshaped(lambda told: told.update(status="IN_PROGRESS")))


@mutant
def submit_without_position(patch: Patch) -> None:
    """A submit does not tell the position."""
    _submitting(patch, _reshaped(lambda told: {k: v for k, v in told.items() if k != "queue_position"}))


@mutant
def ids_are_no_uuids(patch: Patch) -> None:
    """Request ids are UUIDs without dashes, so that nothing finds them."""
    _submitting(patch, _reshaped(lambda told: told.update(request_id=told["request_id"].replace("-", ""))))


@mutant
def submit_is_idempotent(patch: Patch) -> None:
    """An equal submit gets the job that is there already."""

    def make(usual: Any) -> Any:
        def submit(self: Any, asked: Any) -> Any:
            known = self.__dict__.setdefault("_known", {})
            if (key := (asked.body, asked.caller)) in known:
                return self.request(known[key].id), 0
            known[key] = usual(self, asked)[0]
            return known[key], self.position(known[key])

        return submit

    patch.wrap(emulator.Emulator, "submit", make)


@mutant
def urls_have_the_sub_path(patch: Patch) -> None:
    """The URLs name the whole endpoint."""

    def links(request: Any, stored: Any) -> dict[str, str]:
        where = f"/{stored.application}/{stored.path}".rstrip("/")
        base = request.scope["falmock.call"].base_url.url(hosts.QUEUE, f"{where}/requests/{stored.id}")
        return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}

    patch.set(wire, "_links", links)


@mutant
def urls_lead_to_fal(patch: Patch) -> None:
    """The URLs of a status lead to the real service."""

    def change(told: dict[str, Any], found: Any) -> None:
        del found
        told["status_url"] = "https://queue.fal.run" + told["status_url"].partition(hosts.QUEUE)[2]

    _changing(patch, change)


@mutant
def response_url_has_a_suffix(patch: Patch) -> None:
    """response_url ends in /response, as the documentation has it."""
    _submitting(patch, _reshaped(lambda told: told.update(response_url=told["response_url"] + "/response")))


@mutant
def namespaces_are_dropped(patch: Patch) -> None:
    """workflows/ and comfy/ count as owners."""
    patch.set(endpoints, "NAMESPACES", frozenset())


@mutant
def bad_timeouts_are_ignored(patch: Patch) -> None:
    """A start timeout that is no number is taken for none."""

    def make(usual: Any) -> Any:
        def start_within(headers: Any) -> float:
            try:
                return float(usual(headers))
            except errors.PlatformError:
                return math.inf

        return start_within

    patch.wrap(submission, "_start_within", make)


@mutant
def bad_timeouts_are_422(patch: Patch) -> None:
    """A malformed header is a 422."""
    patch.item(errors.PlatformError.STATUS, "bad_request", 422)


@mutant
def bodies_are_parsed_kindly(patch: Patch) -> None:
    """A body that is no object is taken for an input with defaults."""

    def make(usual: Any) -> Any:
        def read(schema: Any, body: bytes, content_type: str | None) -> Any:
            try:
                odd = not isinstance(json.loads(body), dict)
            except ValueError:
                odd = True
            if odd:
                body, content_type = b'{"prompt": "", "image_url": "https://example.com"}', "application/json"
            return usual(schema, body, content_type)

        return read

    patch.wrap(validation, "read", make)


@mutant
def broken_json_is_a_500(patch: Patch) -> None:
    """Whoever sends broken JSON breaks the runner."""

    def make(usual: Any) -> Any:
        def entry(kind: str, loc: Any, msg: str, value: object) -> Any:
            if kind == "json_invalid":
                raise RuntimeError("boom")
            return usual(kind, loc, msg, value)

        return entry

    patch.wrap(validation, "_entry", make)

    def prepare(usual: Any) -> Any:
        def guarded(self: Any, request: Any, body: bytes) -> Any:
            try:
                return usual(self, request, body)
            except RuntimeError:
                return Outcome(500, b'{"detail":"Internal Server Error"}')

        return guarded

    patch.wrap(runner.Runner, "prepare", prepare)


# Statuses


@mutant
def cancelled_is_a_status(patch: Patch) -> None:
    """A job that was cancelled is CANCELLED."""

    def change(told: dict[str, Any], found: Any) -> None:
        if found.status == 499:
            told["status"] = "CANCELLED"

    _changing(patch, change)


@mutant
def failed_is_a_status(patch: Patch) -> None:
    """A job that failed is FAILED."""

    def change(told: dict[str, Any], found: Any) -> None:
        if found.status is not None and found.status >= 400:
            told["status"] = "FAILED"

    _changing(patch, change)


@mutant
def status_is_always_200(patch: Patch) -> None:
    """A status is answered 200 whatever it is."""
    _answering(patch, "_status", lambda r, _: _with_body(r, bytes(r.body), 200))


@mutant
def completed_is_a_202(patch: Patch) -> None:
    """COMPLETED comes with 202."""
    _answering(patch, "_status", lambda r, _: _with_body(r, bytes(r.body), 202))


@mutant
def completed_relapses(patch: Patch) -> None:
    """Every second read after the end says IN_PROGRESS."""
    seen: dict[str, int] = {}

    def change(told: dict[str, Any], found: Any) -> None:
        if told["status"] == DONE:
            seen[found.id] = seen.get(found.id, 0) + 1
            if seen[found.id] % 2 == 0:
                told["status"] = "IN_PROGRESS"

    _changing(patch, change)


@mutant
def runs_look_queued_again(patch: Patch) -> None:
    """A job that runs is told to be IN_QUEUE every second time."""
    seen: dict[str, int] = {}

    def change(told: dict[str, Any], found: Any) -> None:
        if told["status"] == "IN_PROGRESS":
            seen[found.id] = seen.get(found.id, 0) + 1
            if seen[found.id] % 2 == 0:
                told.update(status="IN_QUEUE", queue_position=0)

    _changing(patch, change)


@mutant
def position_is_missing(patch: Patch) -> None:
    """A status does not tell the position."""
    _changing(patch, lambda told, _: told.pop("queue_position", None))


@mutant
def position_stays(patch: Patch) -> None:
    """The position is told after the queue too."""
    _changing(patch, lambda told, _: told.setdefault("queue_position", 0))


@mutant
def position_counts_from_one(patch: Patch) -> None:
    """The next in line is number 1."""
    patch.wrap(queue.Queue, "position", lambda usual: lambda self, job: usual(self, job) + 1)


@mutant
def position_is_always_zero(patch: Patch) -> None:
    """Everybody is told to be next."""
    patch.wrap(queue.Queue, "position", lambda _: lambda self, job: 0)


@mutant
def position_counts_those_behind(patch: Patch) -> None:
    """The position is the number of those behind."""

    def make(usual: Any) -> Any:
        def position(self: Any, job_id: str) -> int:
            waiting = self.waiting(self._jobs[job_id].application)
            return int(waiting - 1 - usual(self, job_id))

        return position

    patch.wrap(queue.Queue, "position", make)


@mutant
def last_come_first_served(patch: Patch) -> None:
    """Whoever comes last is served first."""
    place = property(lambda job: (job.priority, -job.order))
    patch.set(queue.Job, "place", place)


@mutant
def low_priority_is_ignored(patch: Patch) -> None:
    """Everybody has the same priority."""
    patch.set(submission, "_priority", lambda headers: 0)


@mutant
def polling_moves_jobs(patch: Patch) -> None:
    """A job is done when it has been asked for twenty times."""
    seen: dict[str, int] = {}

    def change(told: dict[str, Any], found: Any) -> None:
        seen[found.id] = seen.get(found.id, 0) + 1
        if seen[found.id] >= 20:
            told["status"] = DONE
            told.pop("queue_position", None)

    _changing(patch, change)


@mutant
def asking_for_the_result_delays(patch: Patch) -> None:
    """Each result that is asked for too early makes the run longer."""

    def make(usual: Any) -> Any:
        def result(self: Any, request: Any, found: Any) -> Any:
            if found.state == "IN_PROGRESS":
                for n, (at, order, job) in enumerate(ends := self._emulator._transitions.queue._ends):
                    ends[n] = (at + 1, order, job)
                self._emulator._transitions.reschedule()
            return usual(self, request, found)

        return result

    patch.wrap(wire.QueueHost, "_result", make)


@mutant
def nobody_waits(patch: Patch) -> None:
    """A free runner takes a job at once, whatever the settings say."""

    def make(usual: Any) -> Any:
        return lambda request: dataclasses.replace(usual(request), ready_at=request.submitted_at)

    patch.wrap(transitions, "job_of", make)


@mutant
def runs_are_one_second_short(patch: Patch) -> None:
    """A run ends a second early."""

    def make(usual: Any) -> Any:
        def settle(self: Any, job_id: str, now: float, *, due: float | None = None) -> None:
            job = self._jobs[job_id]
            end = job.started_at + job.run_seconds - 1 if due is None else due
            usual(self, job_id, now, due=end)

        return settle

    patch.wrap(queue.Queue, "settle", make)


@mutant
def slashes_matter(patch: Patch) -> None:
    """A path with a trailing slash is another path."""
    patch.set(hosts, "_trim", lambda path: "/" + path.lstrip("/"))


@mutant
def concurrency_is_unlimited(patch: Patch) -> None:
    """The limit of an account is not looked at."""

    def make(usual: Any) -> Any:
        def init(self: Any, *, runners: int, concurrency: float, now: float) -> None:
            del concurrency
            usual(self, runners=runners, concurrency=10**6, now=now)

        return init

    patch.wrap(queue.Queue, "__init__", make)


@mutant
def surplus_is_refused(patch: Patch) -> None:
    """Whoever has as many jobs as may run is answered 429."""

    def make(usual: Any) -> Any:
        def submit(self: Any, asked: Any) -> Any:
            mine = sum(job.caller == asked.caller for job in self._transitions.queue._jobs.values())
            if mine >= self.settings.concurrency:
                raise errors.ConcurrencyLimit(self.settings.concurrency)
            return usual(self, asked)

        return submit

    patch.wrap(emulator.Emulator, "submit", make)


# Results


@mutant
def early_result_is_a_202(patch: Patch) -> None:
    """A result that is asked for too early is a 202."""
    patch.set(errors.StillInProgress, "status", 202)


@mutant
def early_result_is_silent(patch: Patch) -> None:
    """A result that is asked for too early says something else."""
    _refusing(patch, errors.StillInProgress, lambda e: e.body.update(detail="Not ready"))


@mutant
def early_result_without_urls(patch: Patch) -> None:
    """A result that is asked for too early does not repeat the URLs."""
    _refusing(patch, errors.StillInProgress, lambda e: e.body.pop("status_url"))


@mutant
def results_change(patch: Patch) -> None:
    """Each read of a result has one space more."""
    count = [0]

    def change(response: Response, _: Any) -> Response:
        count[0] += 1
        return _with_body(response, bytes(response.body) + b" " * count[0])

    _answering(patch, "_result", change)


@mutant
def results_are_kept_forever(patch: Patch) -> None:
    """A result never expires."""

    def make(usual: Any) -> Any:
        def init(self: Any, resources: Any) -> None:
            settings = dataclasses.replace(resources.settings, retention=1e9, retention_large=1e9)
            usual(self, dataclasses.replace(resources, settings=settings))

        return init

    patch.wrap(emulator.Emulator, "__init__", make)


@mutant
def large_results_are_kept_as_long(patch: Patch) -> None:
    """Large results are kept as long as small ones."""
    patch.set(steps, "LARGE_RESULT", 10**9)


@mutant
def rejections_have_no_units(patch: Patch) -> None:
    """A rejected input does not say what is billed."""
    patch.set(runner, "UNBILLED", {})


@mutant
def rejections_are_billed(patch: Patch) -> None:
    """A rejected input is billed."""
    patch.set(runner, "UNBILLED", {"x-fal-billable-units": "1"})


@mutant
def successes_are_free(patch: Patch) -> None:
    """A success bills nothing."""
    patch.wrap(veo, "seconds", lambda usual: usual)
    free = dataclasses.replace(veo.IMAGE_TO_VIDEO, units=lambda _: 0)
    patch.item(models.MODELS, veo.IMAGE_TO_VIDEO.endpoint, free)


@mutant
def inputs_get_mixed_up(patch: Patch) -> None:
    """A runner works on the input that was submitted last."""
    latest: list[bytes] = []

    def keep(usual: Any) -> Any:
        def submit(self: Any, asked: Any) -> Any:
            latest.append(asked.body)
            return usual(self, asked)

        return submit

    def make(usual: Any) -> Any:
        def prepare(self: Any, request: Any, body: bytes) -> Any:
            del body
            return usual(self, request, latest[-1])

        return prepare

    patch.wrap(emulator.Emulator, "submit", keep)
    patch.wrap(runner.Runner, "prepare", make)


@mutant
def statuses_get_mixed_up(patch: Patch) -> None:
    """A status names the first job that was ever asked for."""
    first: list[str] = []

    def change(told: dict[str, Any], found: Any) -> None:
        first.append(found.id)
        told["request_id"] = first[0]

    _changing(patch, change)


# Failures


@mutant
def model_errors_are_in_the_status(patch: Patch) -> None:
    """A status tells of a model's error too."""

    def change(told: dict[str, Any], found: Any) -> None:
        if found.status == 422:
            told.update(error="Invalid input", error_type="validation_error")

    _changing(patch, change)


@mutant
def platform_errors_are_not_in_the_status(patch: Patch) -> None:
    """A status does not tell of a platform error."""

    def change(told: dict[str, Any], _: Any) -> None:
        told.pop("error", None)
        told.pop("error_type", None)

    _changing(patch, change)


@mutant
def faults_are_a_text(patch: Patch) -> None:
    """The detail of a 422 is a text."""
    _refusing(patch, errors.InvalidBody, lambda e: e.body.update(detail="Invalid input"))


@mutant
def faults_have_no_body_in_loc(patch: Patch) -> None:
    """The place of a fault is told without "body"."""

    def change(e: Any) -> None:
        for entry in e.body["detail"]:
            entry["loc"] = entry["loc"][1:]

    _refusing(patch, errors.InvalidBody, change)


@mutant
def only_the_first_fault(patch: Patch) -> None:
    """Only the first fault of an input is told."""
    _refusing(patch, errors.InvalidBody, lambda e: e.body.update(detail=e.body["detail"][:1]))


@mutant
def faults_are_a_400(patch: Patch) -> None:
    """A broken input is a 400."""
    patch.set(errors.InvalidBody, "status", 400)


def _before_reading(patch: Patch, change: Callable[[Any], Any]) -> None:
    """Let an input be changed before the schema sees it."""

    def make(usual: Any) -> Any:
        def read(schema: Any, body: bytes, content_type: str | None) -> Any:
            try:
                told = json.loads(body)
            except ValueError:
                return usual(schema, body, content_type)
            changed = change(told) if isinstance(told, dict) else told
            return usual(schema, json.dumps(changed).encode(), content_type)

        return read

    patch.wrap(validation, "read", make)


@mutant
def durations_may_be_numbers(patch: Patch) -> None:
    """A duration of 8 is taken for "8s"."""

    def change(told: Any) -> Any:
        number = isinstance(told.get("duration"), int)
        return told | ({"duration": f"{told['duration']}s"} if number else {})

    _before_reading(patch, change)


@mutant
def square_is_an_aspect(patch: Patch) -> None:
    """1:1 is taken for 16:9."""
    _before_reading(patch, lambda t: t | ({"aspect_ratio": "16:9"} if t.get("aspect_ratio") == "1:1" else {}))


@mutant
def empty_prompts_are_refused(patch: Patch) -> None:
    """An empty prompt counts as none."""
    _before_reading(patch, lambda t: {k: v for k, v in t.items() if not (k == "prompt" and v == "")})


@mutant
def unknown_fields_are_refused(patch: Patch) -> None:
    """A field that the model does not know makes the input a broken one."""

    def change(told: Any) -> Any:
        known = {"prompt", "image_url", "aspect_ratio", "duration", "seed"}
        return told if set(told) <= known else told | {"prompt": None}

    _before_reading(patch, change)


@mutant
def error_types_are_not_in_a_header(patch: Patch) -> None:
    """A platform error has no header."""
    _refusing(patch, errors.PlatformError, lambda e: e.headers.pop("x-fal-error-type"))


@mutant
def timeouts_are_a_503(patch: Patch) -> None:
    """A timeout has the code of a runner that is gone."""
    patch.item(errors.PlatformError.STATUS, "request_timeout", 503)


@mutant
def platform_errors_are_lists(patch: Patch) -> None:
    """The detail of a platform error is a list."""
    _refusing(patch, errors.PlatformError, lambda e: e.body.update(detail=[e.body["detail"]]))


@mutant
def start_timeouts_do_not_say_whose(patch: Patch) -> None:
    """A start timeout does not say that it was the caller's."""
    _refusing(patch, errors.PlatformError, lambda e: e.headers.pop("x-fal-request-timeout-type", None))


@mutant
def start_timeouts_are_ignored(patch: Patch) -> None:
    """A job waits for as long as it takes."""
    patch.wrap(submission, "_start_within", lambda usual: lambda h: (usual(h), math.inf)[1])


@mutant
def every_run_is_tried_again(patch: Patch) -> None:
    """X-Fal-No-Retry is not heeded, so that a timeout is run ten times."""

    def make(usual: Any) -> Any:
        async def read(*args: Any, **more: Any) -> Any:
            return dataclasses.replace(await usual(*args, **more), retry=True)

        return read

    patch.wrap(submission, "read", make)


@mutant
def runs_have_one_name(patch: Patch) -> None:
    """A run that is tried again keeps its id."""

    def make(usual: Any) -> Any:
        def payload(request: Any, *output: Any) -> bytes:
            return bytes(usual(dataclasses.replace(request, gateway_id=request.id), *output))

        return payload

    patch.wrap(webhooks, "payload", make)


# Access


@mutant
def unknown_ids_have_a_detail(patch: Patch) -> None:
    """An unknown id is told with a detail."""
    _refusing(patch, errors.RequestNotFound, lambda e: e.body.update(detail="Not found"))


@mutant
def unknown_ids_are_cancelled(patch: Patch) -> None:
    """A cancel of an unknown id is accepted."""

    def make(usual: Any) -> Any:
        async def call(self: Any, request: Any) -> Any:
            try:
                return await usual(self, request)
            except errors.RequestNotFound:
                if request.method == "PUT":
                    return Response(
                        b'{"status":"CANCELLATION_REQUESTED"}', 202, media_type="application/json"
                    )
                raise

        return call

    patch.wrap(wire.QueueHost, "__call__", make)


@mutant
def malformed_ids_are_a_500(patch: Patch) -> None:
    """An id that is no UUID breaks the server."""

    def make(usual: Any) -> Any:
        def find(self: Any, endpoint: str, request_id: str) -> Any:
            if not wire._ID.fullmatch(request_id):
                raise errors.PlatformError("internal_error")
            return usual(self, endpoint, request_id)

        return find

    patch.wrap(wire.QueueHost, "_find", make)


@mutant
def any_application_will_do(patch: Patch) -> None:
    """A job is found under every application's path."""

    def make(_: Any) -> Any:
        def find(self: Any, endpoint: str, request_id: str) -> Any:
            del endpoint
            found = self._emulator.request(request_id.lower()) if wire._ID.fullmatch(request_id) else None
            if found is None:
                raise errors.RequestNotFound
            return found

        return find

    patch.wrap(wire.QueueHost, "_find", make)


@mutant
def bearer_is_taken(patch: Patch) -> None:
    """A key is taken in the Bearer scheme too."""

    def make(usual: Any) -> Any:
        def read(self: Any, authorization: str | None) -> Any:
            return usual(self, authorization and authorization.replace("Bearer ", "Key "))

        return read

    patch.wrap(keys.Keyring, "_read", make)


@mutant
def nobody_is_asked_for_a_key(patch: Patch) -> None:
    """Whoever has no key is let in."""

    def make(usual: Any) -> Any:
        def identify(self: Any, authorization: str | None) -> Any:
            return usual(self, authorization) if authorization else self._caller("anonymous")

        return identify

    patch.wrap(keys.Keyring, "identify", make)


@mutant
def every_stranger_is_told_the_same(patch: Patch) -> None:
    """A pair of nobody's is told that there are no credentials."""
    patch.set(access, "UnknownKey", lambda: errors.AccessDenied("fal-ai/veo2"))


@mutant
def credentials_come_before_the_id(patch: Patch) -> None:
    """An unknown id without a key is a 401."""

    def make(usual: Any) -> Any:
        async def call(self: Any, request: Any) -> Any:
            if "/requests/" in request.scope["path"]:
                access.caller_of_application(request, self._keyring, "fal-ai/veo2")
            return await usual(self, request)

        return call

    patch.wrap(wire.QueueHost, "__call__", make)


@mutant
def body_comes_before_credentials(patch: Patch) -> None:
    """Broken JSON is a 422 at submit, even for strangers."""

    def make(usual: Any) -> Any:
        async def submit(self: Any, request: Any, path: str) -> Any:
            try:
                json.loads(await request.body() or b"{}")
            except ValueError:
                raise errors.InvalidBody([]) from None
            return await usual(self, request, path)

        return submit

    patch.wrap(wire.QueueHost, "_submit", make)


@mutant
def accounts_see_each_other(patch: Patch) -> None:
    """Whoever has a key may see every job."""
    patch.set(keys.Keyring, "may_see", lambda self, caller, owner: True)


@mutant
def locked_accounts_may_submit(patch: Patch) -> None:
    """The lock of an account is not looked at."""
    patch.wrap(keys.Keyring, "_caller", lambda _: lambda self, key_id: keys.Caller(key_id))


@mutant
def locked_accounts_may_not_read(patch: Patch) -> None:
    """The lock of an account stops reads too."""

    def make(usual: Any) -> Any:
        def authorize(self: Any, request: Any, found: Any) -> None:
            usual(self, request, found)
            if access.caller_of_application(request, self._keyring, found.application).locked:
                raise errors.UserLocked

        return authorize

    patch.wrap(wire.QueueHost, "_authorize", make)


@mutant
def wrong_methods_are_a_404(patch: Patch) -> None:
    """A wrong method is a 404."""
    patch.set(errors.MethodNotAllowed, "status", 404)


@mutant
def wrong_methods_name_no_other(patch: Patch) -> None:
    """A wrong method is a 405 without Allow."""
    _refusing(patch, errors.MethodNotAllowed, lambda e: e.headers.clear())


@mutant
def any_method_cancels(patch: Patch) -> None:
    """A cancel may be a GET."""

    def make(usual: Any) -> Any:
        def init(self: Any, emulator: Any, keyring: Any) -> None:
            usual(self, emulator, keyring)
            self._operations["cancel"] = ("GET", self._cancel)

        return init

    patch.wrap(wire.QueueHost, "__init__", make)


# Logs and streams


@mutant
def logs_are_always_told(patch: Patch) -> None:
    """Logs are a list, asked for or not."""

    def change(told: dict[str, Any], found: Any) -> None:
        told["logs"] = told["logs"] or runner.logs(found, math.inf)

    _changing(patch, change)


@mutant
def logs_key_is_missing(patch: Patch) -> None:
    """Without logs there is no key for them."""
    _changing(patch, lambda told, _: told.pop("logs") if told["logs"] is None else None)


@mutant
def logs_only_as_1(patch: Patch) -> None:
    """Only logs=1 asks for logs, logs=true does not."""
    patch.set(wire, "_TRUE", frozenset({"1"}))


@mutant
def logs_are_newest_first(patch: Patch) -> None:
    """The newest line comes first."""
    patch.wrap(wire, "logs", lambda usual: lambda request, now: usual(request, now)[::-1])


@mutant
def log_lines_have_no_level(patch: Patch) -> None:
    """A line has no level."""

    def make(usual: Any) -> Any:
        return lambda at, text: {k: v for k, v in usual(at, text).items() if k != "level"}

    patch.wrap(runner, "_line", make)


@mutant
def log_lines_have_no_labels(patch: Patch) -> None:
    """A line has no labels, which two clients need."""

    def make(usual: Any) -> Any:
        return lambda at, text: {k: v for k, v in usual(at, text).items() if k != "labels"}

    patch.wrap(runner, "_line", make)


@mutant
def logs_forget(patch: Patch) -> None:
    """Only the last two lines are told."""
    patch.wrap(wire, "logs", lambda usual: lambda request, now: usual(request, now)[-2:])


@mutant
def log_lines_are_rewritten(patch: Patch) -> None:
    """A line says how many there are."""

    def make(usual: Any) -> Any:
        def logs(request: Any, now: float) -> Any:
            lines = usual(request, now)
            return [line | {"message": f"{line['message']} ({len(lines)})"} for line in lines]

        return logs

    patch.wrap(wire, "logs", make)


def _streaming(patch: Patch, change: Callable[[Any, Any], Any]) -> None:
    """Let the events of a stream be changed; `change` gets their iterator and the host."""

    def make(usual: Any) -> Any:
        def events(self: Any, request: Any, found: Any) -> Any:
            return change(usual(self, request, found), (self, found))

        return events

    patch.wrap(wire.QueueHost, "_events", make)


@mutant
def streams_never_close(patch: Patch) -> None:
    """A stream stays open after the end."""

    async def change(events: Any, about: Any) -> Any:
        async for event in events:
            yield event
        await about[0]._emulator.clock.sleep_until(math.inf)

    _streaming(patch, change)


@mutant
def streams_end_early(patch: Patch) -> None:
    """A stream ends without the last message."""

    async def change(events: Any, about: Any) -> Any:
        del about
        async for event in events:
            if b'"COMPLETED"' not in event:
                yield event

    _streaming(patch, change)


@mutant
def streams_are_silent(patch: Patch) -> None:
    """A stream has no comments while nothing happens."""
    patch.set(wire, "HEARTBEAT", 1e6)


@mutant
def streams_repeat_logs(patch: Patch) -> None:
    """Each message of a stream has all the lines so far."""

    async def change(events: Any, about: Any) -> Any:
        lines: list[Any] = []
        async for event in events:
            if event.startswith(b"data: "):
                told = json.loads(event[6:])
                lines += told["logs"] or []
                told["logs"] = told["logs"] and lines
                event = b"data: " + errors.compact(told) + b"\n\n"  # noqa: PLW2901
            yield event
        del about

    _streaming(patch, change)


@mutant
def streams_say_the_end_twice(patch: Patch) -> None:
    """The last message of a stream comes twice."""

    async def change(events: Any, about: Any) -> Any:
        del about
        async for event in events:
            yield event
            if b'"COMPLETED"' in event:
                yield event

    _streaming(patch, change)


@mutant
def late_streams_are_empty(patch: Patch) -> None:
    """A stream that is opened after the end says nothing."""

    async def change(events: Any, about: Any) -> Any:
        if about[1].state != DONE:
            async for event in events:
                yield event

    _streaming(patch, change)


@mutant
def streams_are_json(patch: Patch) -> None:
    """A stream has the type of a status."""

    def change(response: Response, _: Any) -> Response:
        response.headers["content-type"] = "application/json"
        return response

    _answering(patch, "_stream", change)


# Cancelling


@mutant
def cancel_says_200(patch: Patch) -> None:
    """A cancel is answered 200 with success."""
    _answering(patch, "_cancel", lambda r, _: _with_body(r, {"success": True}, 200))


@mutant
def cancel_says_cancelled(patch: Patch) -> None:
    """A cancel is answered with another word."""
    _answering(patch, "_cancel", lambda r, _: _with_body(r, {"status": "CANCELLED"}))


@mutant
def cancel_is_never_late(patch: Patch) -> None:
    """A cancel after the end is accepted."""

    def make(usual: Any) -> Any:
        def cancel(self: Any, request: Any) -> None:
            if request.state != DONE:
                usual(self, request)

        return cancel

    patch.wrap(emulator.Emulator, "cancel", make)


@mutant
def late_cancels_are_a_409(patch: Patch) -> None:
    """A cancel after the end is a 409."""
    patch.set(errors.AlreadyCompleted, "status", 409)


@mutant
def late_cancels_are_a_500(patch: Patch) -> None:
    """A second cancel breaks the server."""
    patch.set(errors.AlreadyCompleted, "status", 500)


@mutant
def cancelled_runs_hang(patch: Patch) -> None:
    """A run that is cancelled never ends."""

    def make(usual: Any) -> Any:
        def cancel(self: Any, request: Any) -> None:
            if request.state != "IN_PROGRESS":
                return usual(self, request)  # type: ignore[no-any-return]
            self._transitions.queue.cancel(request.id, self.clock.now())
            self._transitions.stop(request.id)
            return None

        return cancel

    patch.wrap(emulator.Emulator, "cancel", make)


@mutant
def cancel_in_line_is_forgotten(patch: Patch) -> None:
    """A cancel is accepted, but who waits runs all the same."""

    def make(usual: Any) -> Any:
        def cancel(self: Any, request: Any) -> None:
            if request.state != "IN_QUEUE":
                usual(self, request)

        return cancel

    patch.wrap(emulator.Emulator, "cancel", make)


@mutant
def cancel_in_line_is_billed(patch: Patch) -> None:
    """Whoever is cancelled in line is billed."""

    def make(usual: Any) -> Any:
        def outcome(error: Any) -> Any:
            made = usual(error)
            if error.error_type != "client_cancelled":
                return made
            return dataclasses.replace(made, headers=made.headers | {"x-fal-billable-units": "5"})

        return outcome

    patch.wrap(effects, "ended", make)


@mutant
def second_cancels_rewrite(patch: Patch) -> None:
    """A second cancel rewrites the outcome."""

    def cancelling(usual: Any) -> Any:
        def cancel(self: Any, request: Any) -> None:
            if request.state == DONE:
                self.__dict__.setdefault("_twice", set()).add(request.id)
            usual(self, request)

        return cancel

    def reading(usual: Any) -> Any:
        def output(self: Any, request: Any) -> Any:
            twice = request.id in self.__dict__.get("_twice", ())
            return b'{"detail":"Cancelled again"}' if twice else usual(self, request)

        return output

    patch.wrap(emulator.Emulator, "cancel", cancelling)
    patch.wrap(emulator.Emulator, "output", reading)


@mutant
def cancel_takes_the_neighbour(patch: Patch) -> None:
    """A cancel ends another job of the application too."""

    def make(usual: Any) -> Any:
        def cancel(self: Any, request: Any) -> None:
            others = [j for j in self._transitions.queue._jobs.values() if j.id != request.id]
            usual(self, request)
            if others:
                self._transitions.end(others[0].id, effects.ended(errors.PlatformError("client_cancelled")))

        return cancel

    patch.wrap(emulator.Emulator, "cancel", make)


# Webhooks


def _delivering(patch: Patch, change: Callable[[dict[str, Any]], None]) -> None:
    """Let a delivery be changed before it is signed."""

    def make(usual: Any) -> Any:
        def payload(*about: Any) -> bytes:
            body = json.loads(usual(*about))
            change(body)
            return errors.compact(body)

        return payload

    patch.wrap(webhooks, "payload", make)


@mutant
def webhooks_are_taken_from_the_body(patch: Patch) -> None:
    """A webhook in the body is registered."""

    def make(usual: Any) -> Any:
        async def read(*args: Any, **more: Any) -> Any:
            asked = await usual(*args, **more)
            try:
                told = json.loads(asked.body)
            except ValueError:
                return asked
            url = told.get("fal_webhook") if isinstance(told, dict) else None
            return dataclasses.replace(asked, webhook=asked.webhook or url)

        return read

    patch.wrap(submission, "read", make)


@mutant
def webhooks_are_ignored(patch: Patch) -> None:
    """No webhook is ever registered."""
    patch.set(submission, "_webhook", lambda query: None)


@mutant
def payload_has_an_envelope(patch: Patch) -> None:
    """The payload of a delivery is the result in an envelope."""
    _delivering(patch, lambda body: body.update(payload={"output": body["payload"]}))


@mutant
def deliveries_say_completed(patch: Patch) -> None:
    """The status of a delivery is COMPLETED."""
    _delivering(patch, lambda body: body.update(status=DONE))


@mutant
def deliveries_do_not_say_the_error(patch: Patch) -> None:
    """A delivery of a failure does not say which."""
    _delivering(patch, lambda body: body.pop("error", None))


@mutant
def deliveries_get_mixed_up(patch: Patch) -> None:
    """A delivery names the job that was delivered before."""
    before: list[str] = []

    def change(body: dict[str, Any]) -> None:
        before.append(body["request_id"])
        body["request_id"] = before[-2] if len(before) > 1 else before[-1]

    _delivering(patch, change)


@mutant
def deliveries_are_tried_once(patch: Patch) -> None:
    """A delivery that fails is not repeated."""
    patch.set(webhooks, "next_attempt", lambda attempts, now, give_up_at: None)


@mutant
def only_200_is_taken(patch: Patch) -> None:
    """201 and 204 count as failures."""

    def make(usual: Any) -> Any:
        async def post(self: Any, delivery: Any) -> str:
            verdict = str(await usual(self, delivery))
            return "500" if verdict.startswith("2") and verdict != "200" else verdict

        return post

    patch.wrap(webhooks.Sender, "_post", make)


@mutant
def deliveries_go_on_forever(patch: Patch) -> None:
    """A delivery that fails is repeated every minute, for ever."""
    patch.set(webhooks, "next_attempt", lambda attempts, now, give_up_at: now + 60)


@mutant
def redirects_are_tried_again(patch: Patch) -> None:
    """A redirect counts as a failure that may pass."""

    def make(usual: Any) -> Any:
        async def post(self: Any, delivery: Any) -> str:
            verdict = str(await usual(self, delivery))
            return "500" if verdict.startswith("3") else verdict

        return post

    patch.wrap(webhooks.Sender, "_post", make)


@mutant
def repeats_come_at_once(patch: Patch) -> None:
    """Three attempts are made at the same moment."""

    def next_attempt(attempts: int, now: float, give_up_at: float) -> float | None:
        return now if attempts < 4 and now < give_up_at else None

    patch.set(webhooks, "next_attempt", next_attempt)


def _signing(patch: Patch, change: Callable[[Any, dict[str, Any]], dict[str, str]]) -> None:
    """Let a delivery be signed otherwise; `change` gets the usual way and the arguments."""

    def make(usual: Any) -> Any:
        def headers(self: Any, **told: Any) -> dict[str, str]:
            return change(lambda **more: usual(self, **(told | more)), told)

        return headers

    patch.wrap(signing.Signer, "webhook_headers", make)


@mutant
def signature_is_over_other_bytes(patch: Patch) -> None:
    """The signature is over the body as another library would write it."""
    _signing(patch, lambda usual, told: usual(body=errors.spaced(json.loads(told["body"]))))


@mutant
def timestamps_are_milliseconds(patch: Patch) -> None:
    """The timestamp is in milliseconds."""
    _signing(patch, lambda usual, told: usual(timestamp=told["timestamp"] * 1000))


@mutant
def signature_is_base64(patch: Patch) -> None:
    """The signature is base64."""

    def change(usual: Any, told: dict[str, Any]) -> dict[str, str]:
        del told
        headers: dict[str, str] = usual()
        raw = bytes.fromhex(headers["X-Fal-Webhook-Signature"])
        return headers | {"X-Fal-Webhook-Signature": base64.b64encode(raw).decode()}

    _signing(patch, change)


@mutant
def signature_leaves_the_user_out(patch: Patch) -> None:
    """The user id may be changed by anybody."""

    def change(usual: Any, told: dict[str, Any]) -> dict[str, str]:
        headers: dict[str, str] = usual(user_id="")
        return headers | {"X-Fal-Webhook-User-Id": told["user_id"]}

    _signing(patch, change)


@mutant
def published_key_is_another(patch: Patch) -> None:
    """The key set has a key that signs nothing."""
    patch.wrap(
        signing.Signer, "jwks", lambda usual: lambda _: usual(signing.Signer(b"another secret".ljust(32)))
    )


@mutant
def repeats_have_other_bytes(patch: Patch) -> None:
    """A repeated delivery counts its attempts."""

    def make(usual: Any) -> Any:
        async def post(self: Any, delivery: Any) -> str:
            body = errors.compact(json.loads(delivery.body) | {"attempt": delivery.attempts})
            return str(await usual(self, dataclasses.replace(delivery, body=body)))

        return post

    patch.wrap(webhooks.Sender, "_post", make)


@mutant
def repeats_keep_the_timestamp(patch: Patch) -> None:
    """A repeated delivery has the timestamp of the first."""
    first: dict[str, int] = {}

    def change(usual: Any, told: dict[str, Any]) -> dict[str, str]:
        return dict(usual(timestamp=first.setdefault(told["request_id"], told["timestamp"])))

    _signing(patch, change)


@mutant
def rotation_forgets_the_old_key(patch: Patch) -> None:
    """When keys are rotated, the key set has only the new one."""

    def make(usual: Any) -> Any:
        def rotate(self: Any) -> None:
            usual(self)
            del self._keys[1:]

        return rotate

    patch.wrap(signing.Signer, "rotate", make)


@mutant
def null_payloads_have_no_reason(patch: Patch) -> None:
    """A delivery without a payload does not say why."""

    def make(usual: Any) -> Any:
        def payload(request: Any, output: bytes | None) -> bytes:
            told = json.loads(usual(request, output))
            told.pop("payload_error", None)
            return errors.compact(told)

        return payload

    patch.wrap(webhooks, "payload", make)


@mutant
def webhooks_come_before_the_end(patch: Patch) -> None:
    """A status says IN_PROGRESS for a second after the webhook was sent."""

    def make(usual: Any) -> Any:
        def describe(self: Any, request: Any, found: Any, *, with_logs: bool) -> Any:
            now = self._emulator.clock.now()
            if found.webhook and found.completed_at is not None and now < found.completed_at + 1:
                found = dataclasses.replace(found, state="IN_PROGRESS")
            return usual(self, request, found, with_logs=with_logs)

        return describe

    patch.wrap(wire.QueueHost, "_describe", make)


# Headers


@mutant
def answers_do_not_name_the_request(patch: Patch) -> None:
    """A status has no x-fal-request-id."""

    def change(response: Response, _: Any) -> Response:
        del response.headers["x-fal-request-id"]
        return response

    _answering(patch, "_status", change)


@mutant
def answers_are_plain_text(patch: Patch) -> None:
    """A result is text/plain."""

    def change(response: Response, _: Any) -> Response:
        response.headers["content-type"] = "text/plain"
        return response

    _answering(patch, "_result", change)


@mutant
def browsers_may_not_read_the_id(patch: Patch) -> None:
    """x-fal-request-id is not exposed to browsers."""
    patch.set(guard, "EXPOSED", ())


# Inputs


@mutant
def half_a_pair_is_a_500(patch: Patch) -> None:
    """A lone surrogate cannot be echoed."""

    def make(usual: Any) -> Any:
        def json_(body: object, separators: Any) -> bytes:
            try:
                json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                return b'{"detail":'
            return bytes(usual(body, separators))

        return json_

    patch.wrap(errors, "_json", make)


@mutant
def echoes_are_cut(patch: Patch) -> None:
    """What is echoed is cut after a thousand characters."""

    def make(usual: Any) -> Any:
        return lambda value: value[:1000] if isinstance(value, str) else usual(value)

    patch.wrap(validation, "_echo", make)


@mutant
def nul_ends_a_prompt(patch: Patch) -> None:
    """A prompt ends at the first NUL."""

    def change(told: Any) -> Any:
        prompt = told.get("prompt")
        return told | {"prompt": prompt.partition("\0")[0]} if isinstance(prompt, str) else told

    _before_reading(patch, change)


@mutant
def long_prompts_are_refused(patch: Patch) -> None:
    """A prompt of more than 20000 characters counts as none."""

    def change(told: Any) -> Any:
        long = len(str(told.get("prompt"))) > 20_000
        return {k: v for k, v in told.items() if not (long and k == "prompt")}

    _before_reading(patch, change)


@mutant
def limit_is_one_byte_less(patch: Patch) -> None:
    """A body of exactly the limit is refused."""
    patch.wrap(submission, "read_body", lambda usual: lambda request, limit: usual(request, limit - 1))


@mutant
def there_is_no_limit(patch: Patch) -> None:
    """A body may have any size."""
    patch.wrap(submission, "read_body", lambda usual: lambda request, limit: usual(request, limit * 1000))


@mutant
def images_may_be_larger(patch: Patch) -> None:
    """An image may have any size."""
    patch.set(images, "MAX_BYTES", 10**9)


# Media


@mutant
def file_size_is_zero(patch: Patch) -> None:
    """The output says that the file is empty."""
    _filing(patch, lambda file: file.model_copy(update={"file_size": 0}))


@mutant
def videos_are_nowhere(patch: Patch) -> None:
    """The URL of a video leads nowhere."""
    _filing(patch, lambda file: file.model_copy(update={"url": file.url + "x"}))


def _filing(patch: Patch, change: Callable[[Any], Any]) -> None:
    def make(usual: Any) -> Any:
        async def video(self: Any, clip: Any, *, name: str) -> Any:
            return change(await usual(self, clip, name=name))

        return video

    patch.wrap(runner._Tools, "video", make)


@mutant
def videos_are_landscape(patch: Patch) -> None:
    """The frame is always landscape."""
    patch.set(veo, "frame_size", lambda aspect_ratio, picture: veo.LANDSCAPE)


@mutant
def videos_take_five_seconds(patch: Patch) -> None:
    """Every video takes five seconds."""
    patch.set(veo, "seconds", lambda duration: 5)


@mutant
def output_has_an_envelope(patch: Patch) -> None:
    """The output is wrapped in data."""

    def change(response: Response, found: Any) -> Response:
        if found.status != 200:
            return response
        return _with_body(response, {"data": json.loads(bytes(response.body))})

    _answering(patch, "_result", change)


@mutant
def lifetimes_are_ignored(patch: Patch) -> None:
    """A file lives for ever, whatever the caller asks."""
    patch.set(object_lifecycle.Lifecycle, "expires_at", lambda self, now: None)


@mutant
def files_die_young(patch: Patch) -> None:
    """Every file lives for twenty seconds."""
    patch.set(object_lifecycle.Lifecycle, "expires_at", lambda self, now: now + 20)


@mutant
def positions_are_texts(patch: Patch) -> None:
    """The position is a text, which a lenient client overlooks."""

    def change(told: dict[str, Any], _: Any) -> None:
        if "queue_position" in told:
            told["queue_position"] = str(told["queue_position"])

    _changing(patch, change)


@mutant
def urls_of_a_submit_are_relative(patch: Patch) -> None:
    """The URLs of a submit have no host, so that the client cannot use them."""
    _submitting(
        patch,
        _reshaped(
            lambda told: told.update(
                {k: "/queue.fal.run" + told[k].partition(hosts.QUEUE)[2] for k in ("cancel_url",)}
            )
        ),
    )
