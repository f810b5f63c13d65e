"""Mutants: the emulator with one planted bug, patched in while it runs.

Every public function of a topic module is a mutant, and its docstring is the bug. It gets a `Patch`; under
`replaces` or `planted` it is the replacement itself. Bugs replace as little as possible: `Patch.around`
passes the original function, so that a mutant changes its arguments or result.
"""

from __future__ import annotations

import inspect
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from falcontract.mutation.internals import application, emulator, errors, queue_host, validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

DONE: Final = "COMPLETED"


class Patch:
    """Sets attributes and restores them."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, value)

    def around(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        """Replace a function or method by one that gets the original as its first argument."""
        original = owner.__dict__[name]

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        @wraps(original)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await function(original, *args, **kwargs)

        self.set(owner, name, call_async if inspect.iscoroutinefunction(original) else call)

    def item(self, owner: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((owner, "", dict(owner)))
        owner[key] = value

    def undo(self) -> None:
        """Restore everything, the last change first."""
        for owner, name, value in reversed(self._undo):
            if name:
                setattr(owner, name, value)
            else:
                owner.clear()
                owner.update(value)
        self._undo.clear()


class StalePatchError(Exception):
    """A mutant names a part that the emulator does not have any more."""


@dataclass(frozen=True)
class Mutant:
    name: str  # the function's, with dashes
    bug: str  # one sentence
    apply: Callable[[Patch], None]
    # an HTTP 500 is part of the bug. In any other mutant it means that the patch itself is broken
    answers_500: bool = False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Plant the bug, and remove it at the end."""
        patch = Patch()
        try:
            try:
                self.apply(patch)
            except (AttributeError, KeyError, TypeError) as error:
                raise StalePatchError(f"the patch does not fit the emulator: {error!r}") from error
            yield
        finally:
            patch.undo()


def planted(by: Callable[..., object], *args: Any) -> Callable[[Callable[..., Any]], Callable[[Patch], None]]:
    """Make a mutant of a function that is the last argument of `by`, after the patch and `args`."""

    def decorate(function: Callable[..., Any]) -> Callable[[Patch], None]:
        @wraps(function)
        def apply(patch: Patch) -> None:
            by(patch, *args, function)

        return apply

    return decorate


def replaces(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[[Patch], None]]:
    """Make a mutant of a function that replaces another, see `Patch.around`."""
    return planted(Patch.around, owner, name)


def answers_500(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Mark a mutant with an HTTP 500 as part of its bug."""
    INTENDED_500.add(apply)
    return apply


INTENDED_500: Final[set[Callable[[Patch], None]]] = set()


def mutants_of(topic: ModuleType) -> Iterator[Mutant]:
    """Yield the mutants of a module: its public functions."""
    for name, apply in vars(topic).items():
        if inspect.isfunction(apply) and apply.__module__ == topic.__name__ and not name.startswith("_"):
            bug = (apply.__doc__ or "").strip()
            yield Mutant(name.replace("_", "-"), bug, apply, answers_500=apply in INTENDED_500)


@dataclass
class Answer:
    """An answer on the wire, to be changed; streams are passed by."""

    method: str
    path: str  # with fal's host in front, as called
    status: int
    headers: MutableHeaders
    body: bytes

    def is_about(self, part: str) -> bool:
        """Return whether it answers a call about a job: "status", "result", "cancel" or "submit"."""
        tail = self.path.rstrip("/").partition("/requests/")[2].split("/")[1:]
        if "/requests/" not in self.path:
            return part == "submit" and self.method == "POST" and "queue.fal.run" in self.path
        return tail == ([] if part == "result" else [part])


def change_header(patch: Patch, applies: Callable[[Answer], bool], name: str, value: str | None) -> None:
    """Set a header of some answers, or remove it if the value is None."""

    def change(answer: Answer) -> None:
        if applies(answer):
            del answer.headers[name]
            if value is not None:
                answer.headers[name] = value

    change_wire(patch, change)


def change_code(patch: Patch, applies: Callable[[Answer], bool], code: int) -> None:
    """Set the HTTP status of some answers."""

    def change(answer: Answer) -> None:
        if applies(answer):
            answer.status = code

    change_wire(patch, change)


def change_wire(patch: Patch, change: Callable[[Answer], object]) -> None:
    """Change what leaves the emulator; `change` gets each answer that is not a stream."""

    async def call(original: Any, layer: Any, scope: Any, receive: Any, send: Any) -> None:
        start: list[Any] = []
        body: list[bytes] = []

        async def send_changed(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                if headers.get("content-type", "").startswith("text/event-stream"):
                    await send(message)
                else:
                    start.append((message["status"], headers))
                return
            if not start:
                await send(message)
                return
            body.append(message.get("body", b""))
            if message.get("more_body"):
                return
            status, headers = start[0]
            answer = Answer(scope["method"], scope["path"], status, headers, b"".join(body))
            length = len(answer.body)
            change(answer)
            if len(answer.body) != length:
                answer.headers["content-length"] = str(len(answer.body))
            head = {"type": "http.response.start", "status": answer.status, "headers": answer.headers.raw}
            await send(head)
            await send({"type": "http.response.body", "body": answer.body})

        await original(layer, scope, receive, send_changed if scope["type"] == "http" else send)

    patch.around(application.Application, "__call__", call)


def change_json(patch: Patch, applies: Callable[[Answer], bool], change: Callable[[Any], Any]) -> None:
    """Change the JSON of answers on the wire; `change` may return a new value."""

    def changed(answer: Answer) -> None:
        if applies(answer) and answer.headers.get("content-type", "").startswith("application/json"):
            value = json.loads(answer.body)
            answer.body = errors.compact(change(value) or value)

    change_wire(patch, changed)


def change_status(patch: Patch, change: Callable[[dict[str, Any], Any], None]) -> None:
    """Change status objects; `change` gets the object and the stored request."""

    def describe(original: Any, host: Any, context: Any, job: Any, **kwargs: Any) -> dict[str, Any]:
        status: dict[str, Any] = original(host, context, job, **kwargs)
        change(status, job)
        return status

    patch.around(queue_host.QueueHost, "_describe", describe)
    patch.around(queue_host._Status, "shows", lambda original, *args: False)  # change each one anew


def change_answer(patch: Patch, method: str, change: Callable[[Response, Any], Response]) -> None:
    """Change the answers of a method of the queue host; `change` gets the answer and the stored request."""

    def answer(original: Any, host: Any, context: Any, scope: Any, job: Any) -> Response:
        return change(original(host, context, scope, job), job)

    patch.around(queue_host.QueueHost, method, answer)


def change_submit(patch: Patch, change: Callable[[Response], Response]) -> None:
    patch.around(queue_host.QueueHost, "_accept", lambda original, *args: change(original(*args)))


def change_error(patch: Patch, kind: type, change: Callable[[Any], None]) -> None:
    """Change the refusals of one class; `change` gets the exception."""

    def init(original: Any, error: Any, *args: Any, **kwargs: Any) -> None:
        original(error, *args, **kwargs)
        change(error)

    patch.around(kind, "__init__", init)


def change_input(patch: Patch, change: Callable[[Any], Any]) -> None:
    """Change inputs before the schema validates them."""

    def read(original: Any, schema: Any, body: bytes, *args: Any) -> Any:
        try:
            given = json.loads(body)
        except ValueError:
            return original(schema, body, *args)
        return original(
            schema, json.dumps(change(given) if isinstance(given, dict) else given).encode(), *args
        )

    patch.around(validation, "read", read)


def change_settings(patch: Patch, change: Callable[[Any], dict[str, Any]]) -> None:
    """Change settings of the emulator; `change` gets the settings and returns the new values."""

    def init(original: Any, core: Any, resources: Any) -> None:
        settings = replace(resources.settings, **change(resources.settings))
        original(core, replace(resources, settings=settings))

    patch.around(emulator.Emulator, "__init__", init)


def with_body(response: Response, body: Any, status: int | None = None) -> Response:
    """Return the response with another body (bytes, or an object for JSON) and status."""
    content = body if isinstance(body, bytes) else errors.compact(body)
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    return Response(content, status or response.status_code, headers)


def with_members(change: Callable[[dict[str, Any]], Any]) -> Callable[[Response], Response]:
    """Return a function that changes the JSON object of a response; `change` may return a new object."""

    def reshape(response: Response) -> Response:
        body = json.loads(bytes(response.body))
        return with_body(response, change(body) or body)

    return reshape
