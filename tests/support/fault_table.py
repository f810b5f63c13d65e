"""What an application sees of each fault, through each of three clients: `make faults` writes docs/faults.md.

Everything is tried, nothing is told from memory. The two Python clients run in this process and do not
wait between their tries; fal's JavaScript client runs in one process of Node, over a socket.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.testing.harness import Harness
    from falmock.testing.session import TestSession

DRIVER: Final = Path(__file__).parents[1] / "node" / "faults.mjs"
ENDPOINT: Final = "fal-ai/veo2/image-to-video"
GOOD: Final = {"prompt": "A lego chef", "image_url": "https://example.com/chef.png"}
HOOK: Final = "http://app.test/hook"
KEY: Final = "me:secret"
NOT_ITS_OWN: Final = "—"
STUCK: Final = ("stuck_in_queue", "stuck_running")
CALLS: Final = ("submit", "status", "result")  # where the network is tried; elsewhere it is the same
BRIEF: Final = {"webhook_slow": "webhook_slow seconds=0.05", "media_slow": "media_slow seconds=0.05"}

HEAD: Final = """\
# What your application sees

Every fault of falmock, struck once, through three clients: fal-client {fal_client} and falqueue in Python,
and @fal-ai/client {fal_js} in Node. "the result" means that the client got over it by itself. How many jobs
there were is told where it is not one for a result and none for an error; each is billed.

This page is made by `make faults`, which tries all of it; a test holds it to what happens. What the faults
do is told in [scenarios.md](scenarios.md), and how to set them in a test in [pytest.md](pytest.md).

Where a request never ends, the clients were given a time-out. A hang is told to the Python clients at once,
as the end of their patience, which is 120 seconds for fal-client; Node's is five minutes.
"""
NOTES: Final = {
    "webhooks": "fal's clients leave webhooks to the application; falqueue verifies and reads them.\n",
    "files": "fal's clients leave downloads to the application.\n",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault, and where it strikes."""

    fault: str
    place: str

    @property
    def group(self) -> str:
        return FAULTS[self.fault].group

    @property
    def title(self) -> str:
        return f"`{self.fault}`" + (f", {self.place}" if self.group in {"account", "network"} else "")


def trials() -> list[Trial]:
    """Return all of them, in the order of the vocabulary."""
    return [Trial(kind.name, place) for kind in FAULTS.values() for place in _places(kind.name, kind.on)]


def _places(name: str, on: tuple[str, ...]) -> tuple[str, ...]:
    return CALLS if FAULTS[name].group == "network" and len(on) > len(CALLS) else on


@dataclass(frozen=True, slots=True)
class History:
    """What came of a trial: None for a result, else the error in a few words; and the jobs that were made."""

    error: str | None
    jobs: int

    def __str__(self) -> str:
        usual = 1 if self.error is None else 0
        jobs = f", {self.jobs} job{'s' if self.jobs != 1 else ''}" if self.jobs != usual else ""
        return (self.error or "the result") + jobs


Try = Callable[["Harness", Trial], str | None]


def table(session: TestSession, trial: Trial, tries: list[Try]) -> list[str]:
    """Return a row's cells: what each client sees of a fault."""
    cells = []
    for attempt in tries:
        with open_harness(session) as harness:
            fault = BRIEF.get(trial.fault, trial.fault)
            harness.fail_next(
                fault, **({"on": trial.place} if trial.place in FAULTS[trial.fault].may else {})
            )
            try:
                error = attempt(harness, trial)
            except NotImplementedError:
                cells.append(NOT_ITS_OWN)
                continue
            injected = trial.place in {"submit", "run"}
            jobs = len(harness.requests) if injected else (1 if error is None else 0)
            cells.append(str(History(error, jobs)))
    return cells


# fal's client for Python


def fal(harness: Harness, trial: Trial) -> str | None:
    client = fal_client.SyncClient(key=KEY)
    patience = 1.1 if trial.fault in STUCK else None  # seconds; it takes no less than one
    ways: dict[str, Callable[[], Any]] = {
        "run": lambda: client.run(ENDPOINT, GOOD),
        "upload": lambda: client.upload(b"data", "text/plain"),
    }
    if trial.place in {"webhook", "file"}:
        raise NotImplementedError
    try:
        ways.get(trial.place, lambda: client.subscribe(ENDPOINT, GOOD, client_timeout=patience))()
    except fal_client.FalClientHTTPError as error:
        return _named(error, f"{error.status_code} {error.error_type or _type_in(error.response)}")
    except (fal_client.FalClientError, httpx.HTTPError) as error:
        return _named(error, str(error))
    return None


def _type_in(response: httpx.Response) -> str:
    """Return the model's word for what went wrong, or fal's first words."""
    try:
        body = response.json()
    except ValueError:
        return ""
    detail = body.get("detail", body.get("status", ""))
    return str(detail if isinstance(detail, str) else detail[0]["type"])


# falqueue


def ours(harness: Harness, trial: Trial) -> str | None:
    elapsed = [0.0]

    def sleep(seconds: float) -> None:
        elapsed[0] += seconds

    with (
        falqueue.Client(KEY, sleep=sleep, clock=lambda: elapsed[0], rng=lambda: 0.5) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            return _ask_ours(client, harness, trial, Path(folder))
        except falqueue.FalqueueError as error:
            reasons = getattr(error, "errors", ())
            word = getattr(error, "error_type", None) or (reasons[0].type if reasons else error.message)
            return _named(error, word)


def _ask_ours(client: falqueue.Client, harness: Harness, trial: Trial, folder: Path) -> str | None:
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
    """Take what arrives within some minutes, and read it."""
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
    """Run the driver for the length of a block; gives what asks it."""
    driver = subprocess.Popen(
        [program, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdin is not None
    assert driver.stdout is not None

    def theirs(harness: Harness, trial: Trial) -> str | None:
        if trial.place in {"webhook", "file"}:
            raise NotImplementedError
        asked = {
            "address": harness.serve(),
            "place": trial.place,
            "timeout": 300 if trial.fault in STUCK else None,
            "patience": 300 if trial.fault == "hang" else 60_000,
        }
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps(asked) + "\n")
        driver.stdin.flush()
        told = json.loads(driver.stdout.readline())
        if told["name"] is None:
            return None
        return " ".join(filter(None, [told["name"] and f"`{told['name']}`", _brief(told["text"])]))

    try:
        yield theirs
    finally:
        driver.stdin.close()
        driver.stdout.close()
        driver.wait(30)


def _named(error: Exception, text: str) -> str:
    return f"`{type(error).__name__}` {_brief(text)}".rstrip()


def _brief(text: str) -> str:
    """Return the first words of a text, without what is another each time."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", text)
    text = re.sub(r"https?://\S+", "…", text).replace("|", "/")
    first = re.split(r"(?<=[.;])\s|(?<=\D):\s", text.strip().partition("\n")[0])[0].rstrip(".;: ")
    return first if len(first) <= 60 else f"{first[:59].rsplit(' ', 1)[0]} …"


def rows(chosen: list[Trial]) -> list[list[str]]:
    """Try these through all three clients; return title and cells for each."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        session = stack.enter_context(open_session(Path(folder)))
        theirs = stack.enter_context(node())
        stack.enter_context(patch.object(time, "sleep", lambda _: None))
        return [[trial.title, *table(session, trial, [fal, theirs, ours])] for trial in chosen]


def page() -> str:
    """Return docs/faults.md."""
    chosen = trials()
    parts = [HEAD.format(fal_client=version("fal-client"), fal_js=_version_of_js())]
    told = dict(zip(chosen, rows(chosen), strict=True))
    for group, members in groupby(chosen, key=lambda trial: trial.group):
        parts += [f"## {group.capitalize()}\n", *([NOTES[group]] if group in NOTES else [])]
        lines = ["| fault | fal-client | @fal-ai/client | falqueue |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(told[trial])} |" for trial in members]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, numbers()])


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
