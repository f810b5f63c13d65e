"""The video that comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract import mp4, published
from falcontract.claims import Claims, claim, equal, member, prop, refuted

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

KINDS = {"content_type": str, "file_name": str, "file_size": int, "file_data": str}


@prop(
    12,
    "A success is the model's output: a video that can be fetched and is what was asked for",
    "lifecycle",
    "portrait",
    tier=5,
    evidence="PROTOCOL 16.1 (SEED), 8.3 (L)",
)
def output_is_the_video(trace: Trace) -> Claims:
    """See the title: type, length in bytes, seconds, and frame."""
    for job in trace.jobs():
        submitted = trace.submitted(job)
        for e in trace.final_results(job):
            if e.status != 200 or submitted is None:
                continue
            yield equal(list(e.json), ["video"], "the output is a video, without an envelope", e)
            video = e.get("video") if isinstance(e.get("video"), dict) else {}
            yield claim(str(video.get("url")).startswith("http"), "the video has a URL", e, video)
            for name, kind in KINDS.items():
                if name in video:
                    yield claim(isinstance(video[name], kind), f"{name} is of its type", e, video[name])
            for file in trace.of("fetch", job):
                yield from _is_the_file(file, video, submitted.step.input)


def _is_the_file(file: Exchange, video: dict[str, object], asked: dict[str, object]) -> Claims:
    yield equal(file.status, 200, "the video can be fetched", file)
    yield equal(file.headers.get("content-type"), "video/mp4", "it is an mp4", file)
    if "file_size" in video:
        yield equal(len(file.body), video["file_size"], "it is as long as the output says", file)
    try:
        facts = mp4.facts(file.body)
    except ValueError as error:
        yield refuted("it can be read", file, str(error))
        return
    seconds = published.seconds_of(asked)
    yield claim(abs(facts.seconds - seconds) < 0.2, f"it takes {seconds} s", file, facts.seconds)
    aspect = str(asked.get("aspect_ratio"))
    frames = published.FRAME.get(aspect)
    allowed = [frames] if frames else list(published.FRAME.values())
    yield member((facts.width, facts.height), allowed, "its frame is what was asked for", file)


@prop(
    54,
    "A lifetime that the caller sets is kept: the video is there before it ends, and not after",
    "file-lifetime",
    live="V",
    tier=4,
    evidence="PROTOCOL 8.4 (C); 404 afterwards is assumed",
)
def lifetimes_are_kept(trace: Trace) -> Claims:
    """The first fetch comes before the end of the lifetime, the last one after it."""
    fetched = trace.of("fetch", "A")
    for e in fetched[:-1]:
        yield equal(e.status, 200, "the video is there", e)
    for e in fetched[-1:]:
        yield member(e.status, (404, 410), "the video is gone", e)
    for e in trace.of("fetch", "B"):
        yield equal(e.status, 200, "a video without a lifetime stays", e)
