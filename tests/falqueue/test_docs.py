"""The documentation: its examples run and its tables are true."""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
import io
import os
import re
import runpy
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import falqueue
from falmock.media.probe import probe
from falqueue import _cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "falqueue.md").read_text()
MODULES = sorted(
    path.stem for path in (ROOT / "client" / "falqueue").glob("_*.py") if not path.stem.startswith("__")
)
FAST_POLLS = falqueue.Backoff(initial=0.01, factor=1.2, maximum=0.1)


def examples() -> Iterator[doctest.DocTest]:
    """Yield the examples of the package, and of the functions in its modules."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = {name: getattr(falqueue, name) for name in falqueue.__all__}
    yield from finder.find(falqueue, module=False, globs=names)
    for name in MODULES:
        module = importlib.import_module(f"falqueue.{name}")
        yield from finder.find(module, globs=dict(vars(module)))


EXAMPLES = {example.name: example for example in examples() if example.examples}


@pytest.fixture
def at_emulator(
    emulator: str, key: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory has an image, and the environment names the emulator."""
    monkeypatch.setenv("FALQUEUE_BASE_URL", emulator)
    monkeypatch.setenv("FAL_KEY", key)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chef.png").write_bytes(picture.read_bytes())


@pytest.mark.usefixtures("at_emulator")
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_example_in_a_docstring_runs(name: str, picture: Path) -> None:
    """The examples share a few names, such as `client` and `handle`; their clients poll fast."""
    example, report = EXAMPLES[name], io.StringIO()
    example.globs |= {"asyncio": asyncio, "picture": picture}
    for kind in ("Client", "AsyncClient"):
        example.globs[kind] = partial(getattr(falqueue, kind), polls=FAST_POLLS)
    with falqueue.Client(polls=FAST_POLLS) as client:
        handle = client.submit(falqueue.Veo2ImageToVideo(prompt="It waves", image_url=picture))
        client.wait(handle)
        example.globs |= {"client": client, "handle": handle}
        doctest.DocTestRunner().run(example, out=report.write, clear_globs=False)
    assert report.getvalue() == ""


def public() -> Iterator[str]:
    for name in falqueue.__all__:
        value = getattr(falqueue, name)
        if name != "Status" and not (inspect.isclass(value) and issubclass(value, Exception)):
            yield name
    yield from (f"Client.{name}" for name in vars(falqueue.Client) if not name.startswith("_"))


@pytest.mark.parametrize("name", sorted(public()))
def test_each_public_name_has_an_example(name: str) -> None:
    assert any(example.endswith(f".{name}") for example in EXAMPLES)


BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.usefixtures("at_emulator")
def test_the_examples_of_the_client_page_run(tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text("\n".join(BLOCKS))
    runpy.run_path(str(program))
    assert (tmp_path / "chef.mp4").stat().st_size > 1000


@pytest.fixture
def delivered(emulator: str, key: str, picture: Path) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a webhook from the emulator."""
    caught: list[tuple[bytes, dict[str, str]]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            caught.append((self.rfile.read(int(self.headers["content-length"])), dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server, falqueue.Client(key, base_url=emulator) as client:
        client.submit(
            falqueue.Veo2ImageToVideo(prompt="It waves", image_url=picture),
            webhook_url=f"http://127.0.0.1:{server.server_port}/fal",
        )
        server.timeout = 30
        server.handle_request()
    return caught[0]


@pytest.mark.parametrize("kind", ["Starlette", "plain ASGI"])
@pytest.mark.usefixtures("at_emulator")
def test_the_documented_receivers_accept_genuine_webhooks_only(
    kind: str, delivered: tuple[bytes, dict[str, str]]
) -> None:
    source = next(
        block for block in BLOCKS if ("Starlette" in block) == (kind == "Starlette") and "app" in block
    )
    names: dict[str, Any] = {}
    exec(compile(source, kind, "exec"), names)  # noqa: S102 - the page's own example
    body, headers = delivered
    codes = asyncio.run(post(names["app"], [(body, headers), (body + b" ", headers), (body, {})]))
    assert codes == [204, 401, 401]
    assert [type(output).__name__ for output in names["outputs"].values()] in (["VideoOutput"], ["dict"])


async def post(app: Any, deliveries: list[tuple[bytes, dict[str, str]]]) -> list[int]:
    lifespan = app.router.lifespan_context(app) if hasattr(app, "router") else httpx.AsyncClient()
    async with (
        lifespan,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://me.test") as http,
    ):
        return [
            (await http.post("/fal", content=body, headers=headers)).status_code
            for body, headers in deliveries
        ]


def test_verify_webhook_accepts_a_saved_webhook_and_rejects_a_changed_one(
    emulator: str, delivered: tuple[bytes, dict[str, str]], tmp_path: Path
) -> None:
    body, headers = delivered
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    saved = tmp_path / "saved.http"
    program = [str(Path(sys.executable).with_name("falqueue")), "verify-webhook", str(saved)]
    outcomes = []
    for content in (body, body + b" "):
        saved.write_bytes(f"POST /fal HTTP/1.1\r\n{head}\r\n".encode() + content)
        done = subprocess.run([*program, "--base-url", emulator], capture_output=True, text=True, check=False)
        outcomes.append(
            (done.returncode, done.stdout.partition(" ")[0] + done.stderr.partition(":")[2].strip())
        )
    assert outcomes == [(0, "genuine:"), (8, "no key signed this request")]


def names_in(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield f"{path.name}::{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield from (
                f"{path.name}::{node.name}::{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef)
            )


def test_each_failure_in_the_table_of_the_client_page_names_an_existing_test() -> None:
    written = {name for path in Path(__file__).parent.glob("test_*.py") for name in names_in(path)}
    named = re.findall(r"^\| .* \| .* \| `(test_\S+)` \|$", PAGE, re.MULTILINE)
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and "`test_" in line]
    assert len(named) == len(rows) == 36
    assert set(named) <= written


def test_the_client_page_lists_every_exit_code() -> None:
    kinds: list[Any] = [getattr(falqueue, name) for name in falqueue.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    others = {0, _cli.NOT_DONE, _cli.INTERRUPTED}
    assert listed == sorted({_cli.exit_code(kind) for kind in errors} | others)


def test_the_client_page_shows_every_command() -> None:
    assert set(re.findall(r"\$ falqueue (\S+)", PAGE)) == set(_cli.cli.commands)


def run_the_script(picture: Path, clip: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    script = ROOT / "examples" / "falqueue" / "animate.py"
    return subprocess.run(
        [sys.executable, str(script), str(picture), "It waves", str(clip)],
        env=plain | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_script_makes_a_video_at_the_base_url(
    emulator: str, picture: Path, tmp_path: Path
) -> None:
    done = run_the_script(picture, tmp_path / "out.mp4", FALQUEUE_BASE_URL=emulator)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, str(tmp_path / "out.mp4")), done.stderr
    assert probe(tmp_path / "out.mp4").seconds == pytest.approx(5.0, abs=0.1)


def test_the_example_script_goes_to_fal_if_only_a_key_is_set(key: str, picture: Path, tmp_path: Path) -> None:
    """A proxy notes the host that the script connects to, and refuses."""
    wanted: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            wanted.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        done = run_the_script(picture, tmp_path / "out.mp4", FAL_KEY=key, ALL_PROXY=proxy, NO_PROXY="")
        thread.join()
    assert (done.returncode, wanted) == (1, ["queue.fal.run:443"])
