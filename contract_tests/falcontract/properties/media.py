"""The output: the video and its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.model import published
from falcontract.properties import mp4
from falcontract.properties.claims import Claims, claim, equal, member, prop, results_of
from falcontract.steps import VEO2

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

TYPES: Final = {"content_type": str, "file_name": str, "file_size": int, "file_data": str}
RATES: Final = (24, 25, 30)
RATE_OFF: Final = 0.5
SECONDS_OFF: Final = 0.2  # accepted difference of the video's length


@prop(12, "lifecycle portrait nearly-equal", tier=5, evidence="PROTOCOL 16.1 (SEED), 8.3 (L)")
def output_is_the_video(trace: Trace) -> Claims:
    """A success is the model's output: a video that can be downloaded and fits the input.

    Compares type, size in bytes, length and frame.
    """
    for _, submit, e in results_of(trace, VEO2):  # the plan also runs cheaper models
        yield equal("code", e.status, 200, "the job succeeds", e)
        members = list(e.json) if isinstance(e.json, dict) else None
        yield equal("members", members, ["video"], "the output has one member, video", e)
        video = e.get("video") if isinstance(e.get("video"), dict) else {}
        has_url = str(video.get("url")).startswith("http")
        yield claim("url", has_url, "the video has a URL", e, video)
        for name, kind in TYPES.items():
            if name in video:
                yield claim(name, isinstance(video[name], kind), f"{name} has its type", e, video[name])
        for file in trace.of("fetch", e.step.job):
            yield from _fits(file, video, submit.step.input)


def _fits(file: Exchange, video: dict[str, object], given: dict[str, object]) -> Claims:
    yield equal("download", file.status, 200, "the video can be downloaded", file)
    yield equal("content-type", file.headers.get("content-type"), "video/mp4", "it is an mp4", file)
    if "file_size" in video:
        yield equal("size", len(file.body), video["file_size"], "it has the size of the output", file)
    try:
        facts = mp4.facts(file.body)
    except ValueError as error:
        yield claim("readable", False, "it can be read", file, str(error))  # noqa: FBT003
        return
    seconds = published.seconds_of(given)
    in_range = abs(facts.seconds - seconds) < SECONDS_OFF
    yield claim("length", in_range, f"it lasts {seconds} s", file, facts.seconds)
    frame = published.FRAME.get(str(given.get("aspect_ratio")))
    allowed = [frame] if frame else list(published.FRAME.values())
    yield member("frame", (facts.width, facts.height), allowed, "its frame fits the input", file)


@prop(96, "lifecycle portrait nearly-equal", tier=5, evidence="PROTOCOL 8.3 (N: players seek); ISO 14496-12")
def videos_can_be_streamed(trace: Trace) -> Claims:
    """A video begins with its index, so that players can start early; its frames fill its length evenly."""
    for e in trace.of("fetch"):
        if e.status != 200 or e.step.headers:
            continue
        try:
            facts = mp4.facts(e.body)
        except ValueError as error:
            yield claim("readable", False, "it can be read", e, str(error))  # noqa: FBT003
            continue
        yield claim("index", facts.index_first, "the index is before the data", e, facts)
        rate = facts.frames / facts.seconds if facts.seconds else 0.0
        is_usual = any(abs(rate - usual) < RATE_OFF for usual in RATES)
        yield claim("rate", is_usual, "it has a usual number of frames a second", e, rate)
        yield equal("tracks", facts.tracks, 1, "it has one track: veo2 is silent", e)


@prop(97, "data-uris", tier=5, live="S", evidence="PROTOCOL 8.5 (SEED); RFC 2397")
def legal_data_uris_are_accepted(trace: Trace) -> Claims:
    """A data URI is accepted in every legal form: cases, parameters, escapes, without base64."""
    for e in trace.final_results():
        yield equal("code", e.status, 200, "the image is read", e)


@prop(54, "file-lifetime", live="V", tier=4, evidence="PROTOCOL 8.4 (C); 404 afterwards is assumed")
def lifetimes_are_kept(trace: Trace) -> Claims:
    """The lifetime that the caller sets is kept: the video is available before its end, and not after it.

    The last download of A comes after the end of its lifetime; B has none.
    """
    downloads = trace.of("fetch", "A")
    for e in downloads[:-1]:
        yield equal("available", e.status, 200, "the video is available", e)
    for e in downloads[-1:]:
        yield member("expired", e.status, (404, 410), "the video is no longer available", e)
    for e in trace.of("fetch", "B"):
        yield equal("unlimited", e.status, 200, "a video without a lifetime stays available", e)
