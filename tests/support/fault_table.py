"""Generates docs/faults.md (`make faults`): each fault as three clients report it, and the seconds it costs.

The Python clients run in this process, and their pauses are noted instead of waited for. fal's JavaScript
client runs in one Node process and connects to a socket; its pauses are a hundredth as long.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import fal_client
import httpx

import falqueue
from falmock.faults.vocabulary import EXACT, FAULTS, LONGEST_TEXT, limits
from falmock.testing.harness import open_harness
from falmock.testing.session import open_session
from falqueue._sending import Sender
from falqueue._steps import Sleep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.testing.harness import Harness
    from falmock.testing.session import TestSession

DRIVER: Final = Path(__file__).parents[1] / "node" / "faults.mjs"
ENDPOINT: Final = "fal-ai/veo2/image-to-video"
GOOD: Final = {"prompt": "A lego chef", "image_url": "https://example.com/chef.png"}
HOOK: Final = "http://app.test/hook"
KEY: Final = "me:secret"
UNSUPPORTED: Final = "—"
STUCK: Final = ("stuck_in_queue", "stuck_running", "locks_account")
CALLS: Final = (
    "submit",
    "status",
    "result",
)  # network faults are tried on these; other calls behave in the same way
BRIEF: Final = {"webhook_slow": "webhook_slow seconds=0.05", "media_slow": "media_slow seconds=0.05"}

HEAD: Final = """\
# What your application sees

Each fault of falmock, injected once, as three clients report it: fal-client {fal_client} and falqueue in
Python, and @fal-ai/client {fal_js} in Node. "the result" means that the client recovered by itself. fal
bills each job, so the number of jobs is given where it is not one for a result and none for an error.

`make faults` generates this page by running the clients, and a test checks that it is up to date.
[scenarios.md](scenarios.md) describes the faults; [pytest.md](pytest.md) shows how to inject them in a test.

The runs behind this table have a time limit, because some requests never end. The timeouts of the Python
clients (120 seconds for fal-client) pass without waiting. A `hang` that Node waits for longer than the
limit is "still waits"; its own timeout is five minutes.
"""
COSTS: Final = """\
## What each fault costs

The real seconds that a client waits before it sends a call again, or until its own timeout, for one
injected fault. Faults that are not in the table cost nothing. The pauses are measured. They vary at random,
by half in fal-client and by a quarter in the others; these are the means. For `hang`, 300 is the limit of
Node's `fetch`, which is not waited for. Polls, and the limits of an application itself, are not counted.

Each further fault of the same call costs twice as much as the one before: all tries of fal-client take
{fal_client:.0f} s, those of @fal-ai/client 7 s (for a status 31 s), and those of falqueue {falqueue:.0f} s.
falmock's own clock does not change these times. In tests with pytest, [a fixture](pytest.md#time) skips those
of fal-client.

| fault | fal-client | @fal-ai/client | falqueue |
|---|---|---|---|"""
NODES_OWN: Final = 300.0  # seconds after which Node's fetch gives up; the driver does not wait for them
LEAST: Final = 0.05  # seconds that are shown
NOTES: Final = {
    "webhooks": "Only falqueue verifies and parses webhooks.\n",
    "files": "Only falqueue downloads files.\n",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault and its place."""

    fault: str
    place: str

    @property
    def group(self) -> str:
        return FAULTS[self.fault].group

    @property
    def title(self) -> str:
        return f"`{self.fault}`" + (f", {self.place}" if self.group in {"account", "network"} else "")


def trials() -> list[Trial]:
    """Return all trials in the order of the vocabulary."""
    return [Trial(kind.name, place) for kind in FAULTS.values() for place in _places(kind.name, kind.on)]


def _places(name: str, on: tuple[str, ...]) -> tuple[str, ...]:
    return CALLS if FAULTS[name].group == "network" and len(on) > len(CALLS) else on


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a trial: the error in a few words, or None, and the number of jobs."""

    error: str | None
    jobs: int

    def __str__(self) -> str:
        expected = 1 if self.error is None else 0
        jobs = f", {self.jobs} job{'s' if self.jobs != 1 else ''}" if self.jobs != expected else ""
        return (self.error or "the result") + jobs


Try = Callable[["Harness", Trial], tuple[str | None, float]]  # the error, and the seconds of pauses


@dataclass(frozen=True, slots=True)
class Row:
    """A trial with all clients: a cell for each, and the seconds that it waits; None for no such call."""

    trial: Trial
    cells: tuple[str, ...]
    seconds: tuple[float | None, ...]

    def __str__(self) -> str:
        return f"| {self.trial.title} | {' | '.join(self.cells)} |"

    @property
    def cost(self) -> str | None:
        """The row of the table of costs, if the fault costs anything."""
        if self.trial.fault in STUCK or all((each or 0) < LEAST for each in self.seconds):
            return None
        texts = [UNSUPPORTED if each is None else f"{each:.1f}" if each else "0" for each in self.seconds]
        return f"| {self.trial.title} | {' | '.join(texts)} |"


def row(session: TestSession, trial: Trial, tries: list[Try]) -> Row:
    """Run a trial with each client."""
    cells: list[str] = []
    seconds: list[float | None] = []
    for run in tries:
        with open_harness(session) as harness:
            fault = BRIEF.get(trial.fault, trial.fault)
            harness.fail_next(
                fault, **({"on": trial.place} if trial.place in FAULTS[trial.fault].may else {})
            )
            try:
                error, paused = run(harness, trial)
            except NotImplementedError:
                cells.append(UNSUPPORTED)
                seconds.append(None)
                continue
            seconds.append(paused)
            injected = trial.place in {"submit", "run"}
            jobs = len(harness.requests) if injected else (1 if error is None else 0)
            cells.append(str(Result(error, jobs)))
    return Row(trial, tuple(cells), tuple(seconds))


@contextmanager
def timeouts(pauses: list[float]) -> Iterator[None]:
    """Note how long calls by httpx would have waited that end with a timeout at once."""
    usual = httpx.Client.send
    seen: list[httpx.ReadTimeout] = []  # a client may wrap the method of another

    def send(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        try:
            return usual(self, request, **more)
        except httpx.ReadTimeout as error:
            if error not in seen:
                pauses.append(request.extensions["timeout"]["read"])
                seen.append(error)
            raise

    with patch.object(httpx.Client, "send", send):
        yield


# fal's client for Python


def fal(harness: Harness, trial: Trial) -> tuple[str | None, float]:
    pauses: list[float] = []
    delay = fal_client.client._get_retry_delay

    def noted(*arguments: Any) -> float:
        pauses.append(delay(*arguments))
        return pauses[-1]

    with (
        patch.object(fal_client.client, "_get_retry_delay", noted),
        patch("random.uniform", lambda low, high: (low + high) / 2),
        timeouts(pauses),
    ):
        return _call_fal(trial), sum(pauses)


def _call_fal(trial: Trial) -> str | None:
    client = fal_client.SyncClient(key=KEY)
    timeout = 1.1 if trial.fault in STUCK else None  # seconds; it takes no less than one
    ways: dict[str, Callable[[], Any]] = {
        "run": lambda: client.run(ENDPOINT, GOOD),
        "upload": lambda: client.upload(b"data", "text/plain"),
    }
    if trial.place in {"webhook", "file"}:
        raise NotImplementedError
    try:
        ways.get(trial.place, lambda: client.subscribe(ENDPOINT, GOOD, client_timeout=timeout))()
    except fal_client.FalClientHTTPError as error:
        return _named(error, f"{error.status_code} {error.error_type or _type_in(error.response)}")
    except (fal_client.FalClientError, httpx.HTTPError) as error:
        return _named(error, str(error))
    return None


def _type_in(response: httpx.Response) -> str:
    """Return the error type of a model error, otherwise the text."""
    try:
        body = response.json()
    except ValueError:
        return ""
    detail = body.get("detail", body.get("status", ""))
    return str(detail if isinstance(detail, str) else detail[0]["type"])


# falqueue


def falqueue_client(harness: Harness, trial: Trial) -> tuple[str | None, float]:
    pauses: list[float] = []
    usual = Sender.sleep

    def noted(self: Sender, *arguments: Any, **more: Any) -> Any:
        for step in usual(self, *arguments, **more):
            if isinstance(step, Sleep):
                pauses.append(step.seconds)
            yield step

    with patch.object(Sender, "sleep", noted), timeouts(pauses):
        return _try_falqueue(harness, trial), sum(pauses)


def _try_falqueue(harness: Harness, trial: Trial) -> str | None:
    elapsed = [0.0]

    def sleep(seconds: float) -> None:
        elapsed[0] += seconds

    with (
        falqueue.Client(KEY, sleep=sleep, clock=lambda: elapsed[0], rng=lambda: 0.5) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            return _call_falqueue(client, harness, trial, Path(folder))
        except falqueue.FalqueueError as error:
            reasons = getattr(error, "errors", ())
            text = getattr(error, "error_type", None) or (reasons[0].type if reasons else error.message)
            return _named(error, text)


def _call_falqueue(client: falqueue.Client, harness: Harness, trial: Trial, folder: Path) -> str | None:
    if trial.place == "webhook":
        return _receive(client, harness)
    if trial.place == "run":
        client.run(ENDPOINT, GOOD)
    elif trial.place == "upload":
        client.upload(b"data", name="data.txt")
    else:
        output = client.subscribe(ENDPOINT, GOOD, timeout=7200)
        if trial.place == "file":
            client.download(output["video"]["url"], folder / "video.mp4")
    return None


def _receive(client: falqueue.Client, harness: Harness) -> str | None:
    """Receive webhooks for five minutes and parse them."""
    arrived: list[tuple[bytes, dict[str, str]]] = []

    async def receive(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        arrived.append((body, {name.decode(): value.decode() for name, value in scope["headers"]}))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    harness.mount("http://app.test", _only_http(receive))
    client.submit(ENDPOINT, GOOD, webhook_url=HOOK)
    harness.advance(300)
    for body, headers in arrived:
        client.verify_webhook(body, headers).result()
    return {0: "nothing arrives", 1: None}.get(len(arrived), f"the result, {len(arrived)} times")


def _only_http(app: Any) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return application


# fal's client for JavaScript


@contextmanager
def node(program: str = "node") -> Iterator[Try]:
    """Start the driver; yield the function that runs a trial in it."""
    driver = subprocess.Popen(
        [program, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdin is not None
    assert driver.stdout is not None

    def fal_js(harness: Harness, trial: Trial) -> tuple[str | None, float]:
        if trial.place in {"webhook", "file"}:
            raise NotImplementedError
        question = {
            "address": harness.serve(),
            "place": trial.place,
            "timeout": 300 if trial.fault in STUCK else None,
            "patience": 300 if trial.fault == "hang" else 60_000,
        }
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps(question) + "\n")
        driver.stdin.flush()
        reply = json.loads(driver.stdout.readline())
        paused = NODES_OWN if trial.fault == "hang" else reply["paused"] / 1000
        if reply["name"] is None:
            return None, paused
        return " ".join(filter(None, [reply["name"] and f"`{reply['name']}`", _brief(reply["text"])])), paused

    try:
        yield fal_js
    finally:
        driver.stdin.close()
        driver.stdout.close()
        driver.wait(30)


def _named(error: Exception, text: str) -> str:
    return f"`{type(error).__name__}` {_brief(text)}".rstrip()


def _brief(text: str) -> str:
    """Return the start of a text, without ids and URLs."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", text)
    text = re.sub(r"https?://\S+", "…", text).replace("|", "/")
    first = re.split(r"(?<=[.;])\s|(?<=\D):\s", text.strip().partition("\n")[0])[0].rstrip(".;: ")
    return first if len(first) <= 60 else f"{first[:59].rsplit(' ', 1)[0]} …"


def rows(chosen: list[Trial]) -> list[Row]:
    """Run trials with all three clients."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        session = stack.enter_context(open_session(Path(folder)))
        js = stack.enter_context(node())
        stack.enter_context(patch.object(time, "sleep", lambda _: None))
        return [row(session, trial, [fal, js, falqueue_client]) for trial in chosen]


def page() -> str:
    """Return docs/faults.md."""
    chosen = trials()
    parts = [HEAD.format(fal_client=version("fal-client"), fal_js=_version_of_js())]
    found = {each.trial: each for each in rows(chosen)}
    for group, members in groupby(chosen, key=lambda trial: trial.group):
        parts += [f"## {group.capitalize()}\n", *([NOTES[group]] if group in NOTES else [])]
        lines = ["| fault | fal-client | @fal-ai/client | falqueue |", "|---|---|---|---|"]
        lines += [str(found[trial]) for trial in members]
        parts.append("\n".join(lines) + "\n")
    costs = [about_costs(), *filter(None, (each.cost for each in found.values()))]
    return "\n".join([*parts, "\n".join(costs) + "\n", numbers()])


def about_costs() -> str:
    """Return the start of the section about costs."""
    client, retries = fal_client.client, falqueue.Backoff(jitter=0)
    return COSTS.format(
        fal_client=sum(
            client._get_retry_delay(tried, client.BASE_DELAY, client.MAX_DELAY)
            for tried in range(1, client.MAX_ATTEMPTS)
        ),
        falqueue=sum(retries.seconds(tried) for tried in range(1, retries.max_attempts)),
    )


def numbers() -> str:
    """Return the section about numeric options and their limits."""
    lines = [
        "## Numbers and their limits\n",
        "falmock rejects values outside these limits,",
        f"texts longer than {LONGEST_TEXT} characters, and texts that are not valid Unicode.",
        "The answer is 400 for a prompt or a header, 422 for the control API, and a `ValueError` in Python.",
        "Seconds are emulated time, except for `webhook_slow` and `media_slow`.\n",
        "| option | default | minimum | maximum |",
        "|---|---|---|---|",
    ]
    for kind in FAULTS.values():
        for option, default in kind.options.items():
            low, high = limits(kind.name, option)
            if isinstance(default, int | float) and high != EXACT:
                lines.append(f"| {option} of `{kind.name}` | {default} | {low} | {high} |")
    lines.append(f"| any other | | {-EXACT} | {EXACT} |")
    return "\n".join(lines) + "\n"


def _version_of_js() -> str:
    manifest = DRIVER.parent / "node_modules" / "@fal-ai" / "client" / "package.json"
    return str(json.loads(manifest.read_text())["version"])


if __name__ == "__main__":
    sys.stdout.write(page())
