"""`falqueue` on the command line.

Exit codes, for scripts:

    0    done
    1    not done: the price was declined, or the cancel came too late or found nothing
    2    wrong arguments, no key, an input that the model does not take; nothing was sent
    3    fal was not reached
    4    fal refused: key, locked account, unknown request, too many
    5    the job failed, or was cancelled
    6    the job took longer than --timeout and was cancelled
    7    nobody knows whether a job was made: look before you pay twice
    8    the webhook is not fal's
    9    the output is there, or may be, but could not be fetched whole
    130  Ctrl-C; a job that had been submitted was cancelled
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

import falqueue as fq
from falqueue._hosts import Hosts
from falqueue._terminal import describe, view
from falqueue._veo2 import Duration, ImageAspect

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_CODES: Final[dict[type[BaseException], int]] = {
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
NOT_DONE: Final = 1
INTERRUPTED: Final = 130

base_url = click.option(
    "--base-url",
    envvar="FALQUEUE_BASE_URL",
    show_envvar=True,
    help="An emulator that stands for fal's hosts, such as http://127.0.0.1:8787.",
)
handle_argument = click.argument("handle")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Make videos with fal.ai's queue, or with an emulator of it.

    The key comes from FAL_KEY, or from FAL_KEY_ID and FAL_KEY_SECRET.
    """


@cli.command()
@click.argument("image")
@click.argument("prompt")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--duration", type=click.Choice(get_args(Duration)), default="5s", show_default=True)
@click.option("--aspect", type=click.Choice(get_args(ImageAspect)), default="auto", show_default=True)
@click.option("--timeout", type=float, help="Cancel after so many seconds.")
@click.option("--yes", is_flag=True, help="Take the price without asking.")
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
    """Animate IMAGE, a file or a URL, as PROMPT says, with Veo 2, and write the clip.

    Progress goes to standard error, the name of the clip to standard output.
    """
    hosted = image.startswith(("http://", "https://", "data:"))
    request = fq.Veo2ImageToVideo(
        prompt=prompt, image_url=image if hosted else Path(image), aspect_ratio=aspect, duration=duration
    )
    request.check()
    if not output.parent.is_dir():
        raise fq.UsageError(f"there is no folder {output.parent}")
    with fq.Client(base_url=base_url) as client:
        if Hosts.at(base_url).live and not yes and not _accepts(request):
            return NOT_DONE
        handle = client.submit(request)
        click.echo(f"handle: {handle}", err=True)
        with view(sys.stderr) as shown, _cancelling(client, handle):
            made = client.wait(handle, timeout=timeout, logs=True, on_update=shown.status)
            client.download(made.video, output, on_progress=shown.progress)
    click.echo(output)
    return 0


@cli.command()
@handle_argument
@base_url
def status(handle: str, *, base_url: str | None) -> None:
    """Say how far the job of HANDLE is."""
    with fq.Client(base_url=base_url) as client:
        click.echo(describe(client.status(fq.Handle.from_text(handle))))


@cli.command()
@handle_argument
@click.option("--stream", is_flag=True, help="Let fal send them instead of polling.")
@base_url
def events(handle: str, *, stream: bool, base_url: str | None) -> None:
    """Follow the job of HANDLE to its end, log lines included. Ctrl-C stops the following, not the job."""
    with fq.Client(base_url=base_url) as client, view(sys.stdout) as shown:
        follow = client.stream if stream else client.events
        for state in follow(fq.Handle.from_text(handle), logs=True):
            shown.status(state)


@cli.command()
@handle_argument
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Fetch the video too.")
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
    """Ask fal to stop the job of HANDLE."""
    with fq.Client(base_url=base_url) as client:
        answer = client.cancel(fq.Handle.from_text(handle))
    click.echo(answer.value)
    return 0 if answer is fq.Cancellation.REQUESTED else NOT_DONE


@cli.command()
@click.argument("request", type=click.File("rb"))
@click.option("--keys", type=click.File("rb"), help="A saved JWKS document, instead of fal's own.")
@click.option("--now", type=float, help="Unix seconds of its receipt, instead of this moment.")
@base_url
def verify_webhook(request: Any, *, keys: Any, now: float | None, base_url: str | None) -> None:
    """Say whether REQUEST, a saved HTTP request with its headers, is a webhook of fal's."""
    headers, body = _saved(request.read())
    moment = time.time() if now is None else now
    if keys:
        delivery = fq.verify(body, headers, fq.keys_of(json.load(keys)), now=moment)
    else:
        anonymous = fq.Credentials.anonymous()
        with fq.Client(anonymous, base_url=base_url, wall_clock=lambda: moment) as client:
            delivery = client.verify_webhook(body, headers)
    click.echo(f"genuine: request {delivery.request_id}, {delivery.status}")


def _accepts(request: fq.Veo2ImageToVideo) -> bool:
    if not sys.stdin.isatty():
        raise fq.UsageError(f"this costs about ${request.price}; pass --yes to take it")
    return click.confirm(f"This costs about ${request.price}. Go on?", err=True)


@contextmanager
def _cancelling(client: fq.Client, handle: fq.Handle[Any]) -> Iterator[None]:
    """Cancel the job on Ctrl-C, and say what came of it."""
    try:
        yield
    except KeyboardInterrupt:
        answer = client.cancel(handle)
        click.echo(f"\ninterrupted; fal answered {answer.value} to the cancel", err=True)
        raise


def _saved(message: bytes) -> tuple[dict[str, str], bytes]:
    """Split a saved request into its headers and its body; a request line on top is passed over."""
    for gap in (b"\r\n\r\n", b"\n\n"):
        head, found, body = message.partition(gap)
        if found:
            break
    pairs = (line.partition(":") for line in head.decode("latin-1").splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}, body


def exit_code(error: type[BaseException]) -> int:
    """Return the exit code for an exception of this class."""
    return next(code for kind, code in EXIT_CODES.items() if issubclass(error, kind))


def main() -> None:
    """Run the command; what goes wrong is one line on standard error and an exit code."""
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
