"""The command `falqueue`. docs/falqueue.md lists its exit codes."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import falqueue as fq  # imports httpx at the first use of a name, so not for --help
from falqueue._terminal import describe, view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falqueue._veo2 import Duration, ImageAspect

NOT_DONE: Final = 1
INTERRUPTED: Final = 130
DURATIONS: Final = ("5s", "6s", "7s", "8s")
ASPECTS: Final = ("auto", "auto_prefer_portrait", "16:9", "9:16")

base_url = click.option(
    "--base-url",
    envvar="FALQUEUE_BASE_URL",
    show_envvar=True,
    help="An emulator of fal's hosts, such as http://127.0.0.1:8787.",
)
handle_argument = click.argument("handle")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="falmock", prog_name="falqueue")
def cli() -> None:
    """Make videos with fal.ai's queue, or with an emulator of it.

    The key is read from FAL_KEY, or from FAL_KEY_ID and FAL_KEY_SECRET.
    """


@cli.command()
@click.argument("image")
@click.argument("prompt")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--duration", type=click.Choice(DURATIONS), default="5s", show_default=True)
@click.option("--aspect", type=click.Choice(ASPECTS), default="auto", show_default=True)
@click.option("--timeout", type=float, help="Cancel the job after this many seconds.")
@click.option("--yes", is_flag=True, help="Accept the price without asking.")
@base_url
def generate(
    image: str,
    prompt: str,
    *,
    output: Path,
    duration: Duration,
    aspect: ImageAspect,
    timeout: float | None,
    yes: bool,
    base_url: str | None,
) -> int:
    """Animate IMAGE according to PROMPT with Veo 2.

    IMAGE is a file or a URL. Progress is printed to standard error, the name of the video to standard output.
    """
    is_url = image.startswith(("http://", "https://", "data:"))
    request = fq.Veo2ImageToVideo(
        prompt=prompt, image_url=image if is_url else Path(image), aspect_ratio=aspect, duration=duration
    )
    request.check()
    if not output.parent.is_dir():
        raise fq.UsageError(f"{output.parent} is not a folder")
    with fq.Client(base_url=base_url) as client:
        if not base_url and not yes and not _accepts(request):
            return NOT_DONE
        with view(sys.stderr) as shown:  # before the submit, since it may fail
            handle = _submit(client, request)
            with _cancelling(client, handle):
                made = client.wait(handle, timeout=timeout, logs=True, on_update=shown.status)
                client.download(made.video, output, on_progress=shown.progress)
    click.echo(output)
    return 0


@cli.command()
@handle_argument
@base_url
def status(handle: str, *, base_url: str | None) -> None:
    """Print the status of the job of HANDLE."""
    with fq.Client(base_url=base_url) as client:
        click.echo(describe(client.status(fq.Handle.from_text(handle))))


@cli.command()
@handle_argument
@click.option("--stream", is_flag=True, help="Receive statuses as a stream instead of polling.")
@base_url
def events(handle: str, *, stream: bool, base_url: str | None) -> None:
    """Print statuses and log entries of the job of HANDLE.

    It ends when the job is completed. Ctrl-C does not cancel the job.
    """
    with fq.Client(base_url=base_url) as client, view(sys.stdout) as shown:
        follow = client.stream if stream else client.events
        for state in follow(fq.Handle.from_text(handle), logs=True):
            shown.status(state)


@cli.command()
@handle_argument
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Download the video.")
@base_url
def result(handle: str, *, output: Path | None, base_url: str | None) -> None:
    """Print the output of the job of HANDLE as JSON."""
    with fq.Client(base_url=base_url) as client:
        made = client.result(fq.Handle.from_text(handle))
        click.echo(json.dumps(made, indent=2, ensure_ascii=False))
        if output:
            with view(sys.stderr) as shown:
                video = fq.VideoOutput.parse(made).video
                client.download(video, output, on_progress=shown.progress)


@cli.command()
@handle_argument
@base_url
def cancel(handle: str, *, base_url: str | None) -> int:
    """Ask fal to cancel the job of HANDLE."""
    with fq.Client(base_url=base_url) as client:
        answer = client.cancel(fq.Handle.from_text(handle))
    click.echo(answer.value)
    return 0 if answer is fq.Cancellation.REQUESTED else NOT_DONE


@cli.command()
@click.argument("request", type=click.File("rb"))
@click.option("--keys", type=click.File("rb"), help="A saved JWKS document, instead of fetching fal's.")
@click.option("--now", type=float, help="Time of receipt in Unix seconds, instead of the current time.")
@base_url
def verify_webhook(request: Any, *, keys: Any, now: float | None, base_url: str | None) -> None:
    """Verify that fal sent a webhook.

    REQUEST is a file with a saved HTTP request, headers included.
    """
    headers, body = _split(request.read())
    received = time.time() if now is None else now
    if keys:
        try:
            document = json.load(keys)
        except ValueError as error:
            raise fq.UsageError("--keys is not a JSON document") from error
        delivery = fq.verify(body, headers, fq.keys_of(document), now=received)
    else:
        anonymous = fq.Credentials.anonymous()
        with fq.Client(anonymous, base_url=base_url, wall_clock=lambda: received) as client:
            delivery = client.verify_webhook(body, headers)
    click.echo(f"genuine: request {delivery.request_id}, {delivery.status}")


def _accepts(request: fq.Veo2ImageToVideo) -> bool:
    if not sys.stdin.isatty():
        raise fq.UsageError(f"this costs about ${request.price}; pass --yes to accept it")
    return click.confirm(f"This costs about ${request.price}. Continue?", err=True)


def _submit(client: fq.Client, request: fq.Veo2ImageToVideo) -> fq.Handle[fq.VideoOutput]:
    try:
        handle = client.submit(request)
    except KeyboardInterrupt:
        click.echo("\ninterrupted during the submit: there may be a job, see fal's dashboard", err=True)
        raise
    click.echo(f"handle: {handle}", err=True)
    return handle


@contextmanager
def _cancelling(client: fq.Client, handle: fq.Handle[Any]) -> Iterator[None]:
    """Cancel the job on Ctrl-C and print fal's answer."""
    try:
        yield
    except KeyboardInterrupt:
        try:
            answer = f"fal answered {client.cancel(handle).value} to the cancel"
        except fq.FalqueueError as error:
            answer = f"the cancel failed ({error.message}), so the job may still be billed"
        click.echo(f"\ninterrupted; {answer}", err=True)
        raise


def _split(message: bytes) -> tuple[dict[str, str], bytes]:
    """Split a saved HTTP request into headers and body, without its request line."""
    for gap in (b"\r\n\r\n", b"\n\n"):
        head, found, body = message.partition(gap)
        if found:
            break
    pairs = (line.partition(":") for line in head.decode("latin-1").splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}, body


def exit_code(error: type[BaseException]) -> int:
    """Return the exit code for an exception of this class."""
    codes: dict[type[BaseException], int] = {
        fq.UsageError: 2,
        fq.Unavailable: 9,
        fq.Refused: 4,
        fq.Unreachable: 3,
        fq.RequestFailed: 5,
        fq.TookTooLong: 6,
        fq.SubmitUnconfirmed: 7,
        fq.WebhookRejected: 8,
        fq.FalqueueError: 9,
        OSError: 2,
    }
    return next(code for kind, code in codes.items() if issubclass(error, kind))


def main() -> None:
    """Run the command. Errors become one line on standard error and an exit code."""
    try:
        code = cli.main(standalone_mode=False) or 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (fq.FalqueueError, OSError) as error:
        click.echo(f"falqueue: {error}", err=True)
        if isinstance(error, fq.FalqueueError) and error.handle:
            click.echo(f"handle: {error.handle}", err=True)
        code = exit_code(type(error))
    sys.exit(code)
