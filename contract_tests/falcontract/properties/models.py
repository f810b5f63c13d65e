"""The outputs of models: members, files, and what they cost."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING, Any, Final

from falcontract.model.models import (
    ALL,
    BANANA,
    BIREFNET,
    CUT,
    FLUX,
    KLING_25,
    KLING_26,
    KOKORO,
    MODELS,
    SCHNELL,
    SHOWN,
    SPOKEN_SECONDS,
    TRELLIS,
    WHISPER,
    size,
    units,
)
from falcontract.properties import mp4
from falcontract.properties.claims import Claims, claim, equal, prop, results_of
from falcontract.properties.pictures import Picture, picture, seconds
from falcontract.steps import VEO2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.model.models import Model
    from falcontract.steps import Json
    from falcontract.traces import Exchange, Trace

NEW: Final = tuple(model.endpoint for model in ALL if model.endpoint != VEO2)
COUNTED: Final = tuple(model.endpoint for model in ALL if model.is_counted)
TIMED: Final = tuple(model.endpoint for model in ALL if model.unit == "compute seconds")
SCHEMAS: Final = "PROTOCOL 16.3 (schemas made of fal's documents)"
TYPES: Final = {"content_type": str, "file_name": str, "file_size": int, "width": int, "height": int}
RATIO_OFF: Final = 0.04  # sides are multiples of 8, 16 or 32
SECONDS_OFF: Final = 0.2
FASTEST, SLOWEST = 40, 5  # characters a second of speech


def _successes(trace: Trace, *endpoints: str) -> Iterator[tuple[Model, Json, Exchange]]:
    """Yield the model, the input and the first final result of each job of some models that succeeds."""
    for submit in trace.submits():
        if submit.step.endpoint in endpoints:
            for e in trace.final_results(submit.step.job)[:1]:
                if e.ok and isinstance(e.json, dict):
                    yield MODELS[submit.step.endpoint], submit.step.input, e


def _files(value: Any) -> Iterator[Json]:
    """Yield the file objects of an output, in their order."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str):
            yield value
        else:
            for item in value.values():
                yield from _files(item)
    elif isinstance(value, list):
        for item in value:
            yield from _files(item)


def _downloads(trace: Trace, e: Exchange) -> Iterator[tuple[Json, Exchange]]:
    """Yield the files of a result that were downloaded, each with its download."""
    for file in _files(e.json):
        for fetched in trace.of("fetch", e.step.job):
            if fetched.url == file["url"]:
                yield file, fetched


def _images(e: Exchange) -> list[Json]:
    found = e.get("images")
    return [one if isinstance(one, dict) else {} for one in found] if isinstance(found, list) else []


@prop(106, "several several-edited cut speech", tier=4, live="S", evidence=SCHEMAS, models=NEW, each="run")
def outputs_have_their_members(trace: Trace) -> Claims:
    """An output and its files have the members of the model's schema, in their order, and true facts."""
    for model, _, e in _successes(trace, *NEW):
        yield equal("members", list(e.json), list(model.output), "the output has its members in order", e)
        for name in model.output:
            if name not in model.optional:
                yield claim("filled", e.get(name) is not None, f"{name} is not null", e, e.get(name))
        for file in _files(e.json):
            yield equal("file", list(file), list(model.file), "a file has its members in order", e)
            for name, kind in TYPES.items():
                is_kind = file.get(name) is None or isinstance(file[name], kind)
                yield claim(name, is_kind, f"{name} has its type", e, file.get(name))
        for file, fetched in _downloads(trace, e):
            yield equal("download", fetched.status, 200, "the file can be downloaded", fetched)
            found = fetched.headers.get("content-type")
            yield equal("type", found, file.get("content_type"), "it has the stated type", fetched)
            stated = file.get("file_size")
            yield claim(
                "size", stated in {None, len(fetched.body)}, "it has the stated size", fetched, stated
            )


@prop(107, "sizes several several-edited", tier=5, live="S", evidence=SCHEMAS, models=(FLUX, BANANA))
def images_are_as_asked(trace: Trace) -> Claims:
    """There are as many images as asked, each of the asked size or ratio, in the asked format."""
    for model, given, e in _successes(trace, FLUX, BANANA):
        count = given.get("num_images", 1)
        yield equal("count", len(_images(e)), count, "it has as many images as asked", e)
        urls = {str(image.get("url")) for image in _images(e)}
        yield equal("distinct", len(urls), count, "each image has its own URL", e)
        for file, fetched in _downloads(trace, e):
            yield from _is_asked_image(model, given, file, fetched)


def _is_asked_image(model: Model, given: Json, file: Json, fetched: Exchange) -> Claims:
    found = _picture(fetched.body)
    yield claim("readable", found is not None, "it is a picture", fetched)
    if found is None:
        return
    wanted = given.get("output_format", model.fields["output_format"].default)
    yield equal("format", found.format, wanted, "it has the asked format", fetched)
    stated = file.get("width"), file.get("height")
    yield claim("stated", stated in {(None, None), (found.width, found.height)}, "its size is true", fetched)
    if model.endpoint == FLUX:
        yield equal("size", (found.width, found.height), size(given), "it has the asked size", fetched)
    elif ":" in str(given.get("aspect_ratio")):
        width, height = map(int, str(given["aspect_ratio"]).split(":"))
        off = abs(found.width / found.height / (width / height) - 1)
        yield claim("ratio", off < RATIO_OFF, "it has the asked ratio", fetched, (found.width, found.height))


@prop(108, "seeds", tier=5, live="S", evidence=f"{SCHEMAS}, 16.2 (R)", models=(FLUX,))
def seeds_are_echoed(trace: Trace) -> Claims:
    """The output repeats the seed of the input, and names the one that was drawn without it."""
    for _, given, e in _successes(trace, FLUX):
        seed = e.get("seed")
        if given.get("seed") is not None:
            yield equal("echo", seed, given["seed"], "the seed is that of the input", e)
        else:
            is_seed = isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
            yield claim("drawn", is_seed, "a seed was drawn", e, seed)


@prop(
    109,
    "several",
    tier=5,
    live="S",
    evidence=f"{SCHEMAS}, 16.2 (R)",
    models=(FLUX, SCHNELL, TRELLIS),
    each="run",
)
def outputs_describe_the_run(trace: Trace) -> Claims:
    """`timings` has seconds; an image model repeats the prompt and has one NSFW flag for each image."""
    for model, given, e in _successes(trace, FLUX, SCHNELL, TRELLIS):
        timings = e.get("timings") if isinstance(e.get("timings"), dict) else {}
        are_seconds = all(isinstance(one, float | int) and one >= 0 for one in (timings or {}).values())
        yield claim("timings", timings and are_seconds, "timings has seconds", e, e.get("timings"))
        if model.endpoint != TRELLIS:
            flags = [isinstance(flag, bool) for flag in e.get("has_nsfw_concepts") or ()]
            text = "it has one flag for each image"
            yield equal("flags", flags, [True] * len(_images(e)), text, e)
            yield equal("prompt", e.get("prompt"), given["prompt"], "it repeats the prompt", e)


@prop(
    110,
    "inline inline-edited inline-cut",
    tier=4,
    live="S",
    evidence=f"{SCHEMAS}: sync_mode",
    models=(FLUX, BANANA, BIREFNET),
)
def sync_mode_returns_data_uris(trace: Trace) -> Claims:
    """With sync_mode the URL of each image is a data URI of the image, in its format."""
    for model, given, e in _successes(trace, FLUX, BANANA, BIREFNET):
        files = list(_files(e.json))
        yield equal("count", len(files), given.get("num_images", 1), "it has as many images as asked", e)
        for file in files:
            kind = given.get("output_format", model.fields["output_format"].default)
            head, _, data = file["url"].partition(",")
            yield equal("head", head, f"data:image/{kind};base64", "it is a data URI of its type", e)
            found = _decoded(data)
            yield claim("picture", found and found.format == kind, "it has the picture", e, found)


def _decoded(data: str) -> Picture | None:
    try:
        return _picture(base64.b64decode(data, validate=True))
    except binascii.Error:
        return None


def _picture(data: bytes) -> Picture | None:
    try:
        return picture(data)
    except ValueError:
        return None


@prop(111, "cut", tier=4, live="S", evidence=f"{SCHEMAS}; the size is assumed", models=(BIREFNET,))
def cut_outs_are_transparent(trace: Trace) -> Claims:
    """A cut-out has an alpha channel and the size of the input; a mask is made if it is asked for."""
    for model, given, e in _successes(trace, BIREFNET):
        asks = given.get("output_mask", False)
        yield equal("mask", e.get("mask_image") is not None, asks, "it has a mask if it was asked for", e)
        for file, fetched in _downloads(trace, e):
            found = _picture(fetched.body)
            yield claim("readable", found is not None, "it is a picture", fetched)
            if found is None:
                continue
            wanted = given.get("output_format", model.fields["output_format"].default)
            yield equal("format", found.format, wanted, "it has the asked format", fetched)
            yield equal("size", (found.width, found.height), CUT, "it has the size of the input", fetched)
            if file is e.get("image"):
                yield claim("alpha", found.alpha, "it has an alpha channel", fetched, found)


@prop(
    112,
    "shots shots-with-sound",
    tier=5,
    live="S",
    evidence=f"{SCHEMAS}, 16.2; the frame is assumed",
    models=(KLING_25, KLING_26),
)
def videos_are_as_asked(trace: Trace) -> Claims:
    """A video has the length of the text `duration`, sound if asked for, and the shape of its first frame."""
    for model, given, e in _successes(trace, KLING_25, KLING_26):
        for _, fetched in _downloads(trace, e):
            try:
                found = mp4.facts(fetched.body)
            except ValueError as error:
                yield claim("readable", False, "it can be read", fetched, str(error))  # noqa: FBT003
                continue
            wanted = float(given.get("duration", "5"))
            is_long = abs(found.seconds - wanted) < SECONDS_OFF
            yield claim("length", is_long, f"it lasts {wanted:g} s", fetched, found.seconds)
            has_sound = "generate_audio" in model.fields and given.get("generate_audio", True)
            text = "it has sound if it was asked for"
            yield equal("tracks", found.tracks, 2 if has_sound else 1, text, fetched)
            off = abs(found.width / found.height / (SHOWN[0] / SHOWN[1]) - 1)
            shape = found.width, found.height
            yield claim("shape", off < RATIO_OFF, "it has the shape of the input image", fetched, shape)


@prop(
    113, "speech", tier=4, live="S", evidence=f"{SCHEMAS}; the speed of speech is assumed", models=(KOKORO,)
)
def speech_lasts_as_its_text(trace: Trace) -> Claims:
    """Speech is a wav file that lasts as long as its text takes, and half as long at twice the speed."""
    for _, given, e in _successes(trace, KOKORO):
        for file, fetched in _downloads(trace, e):
            yield equal("type", file.get("content_type"), "audio/wav", "it is a wav file", e)
            try:
                lasts = seconds(fetched.body) * given.get("speed", 1)
            except ValueError as error:
                yield claim("readable", False, "it can be read", fetched, str(error))  # noqa: FBT003
                continue
            pace = len(given["prompt"]) / lasts if lasts else 0
            text = "it lasts as long as its text takes"
            yield claim("length", SLOWEST < pace < FASTEST, text, fetched, lasts)


@prop(114, "transcripts", tier=4, live="S", evidence=f"{SCHEMAS}: types of @fal-ai/client", models=(WHISPER,))
def transcripts_fit_the_sound(trace: Trace) -> Claims:
    """The chunks of a transcript are its text in order, within the sound, as fine as asked.

    Speakers are named if that is asked for; the language is the one that was given.
    """
    for _, given, e in _successes(trace, WHISPER):
        text, chunks = str(e.get("text")), e.get("chunks") or []
        chunks = [chunk for chunk in chunks if isinstance(chunk, dict)]
        level = given.get("chunk_level", "segment")
        yield claim("text", text.strip(), "there is a text", e, text)
        yield equal("chunks", bool(chunks), level != "none", "there are chunks if they were asked for", e)
        if chunks:
            said = " ".join(str(chunk.get("text")).strip() for chunk in chunks)
            yield equal("said", said, text.strip(), "the chunks are the text", e)
            yield from _times_fit(e, chunks)
        if level == "word":
            most = max((len(str(chunk.get("text")).split()) for chunk in chunks), default=1)
            yield equal("words", most, 1, "a chunk is a word", e)
        segments = e.get("diarization_segments") or []
        yield equal("speakers", bool(segments), given.get("diarize", False), "speakers are told if asked", e)
        if given.get("language"):
            found = e.get("inferred_languages")
            yield equal("language", found, [given["language"]], "it is the given language", e)


def _times_fit(e: Exchange, chunks: list[Json]) -> Claims:
    times = [chunk.get("timestamp") for chunk in chunks]
    flat: list[Any] = [time for pair in times for time in (pair if isinstance(pair, list) else ["none"])]
    are_numbers = all(isinstance(time, int | float) for time in flat)
    yield claim("numbers", are_numbers and len(flat) == 2 * len(chunks), "a chunk has two times", e, times)
    if are_numbers:
        yield equal("order", flat, sorted(flat), "the times come in order", e)
        inside = all(0 <= time <= SPOKEN_SECONDS + SECONDS_OFF for time in flat)
        yield claim("inside", inside, "they are within the sound", e, flat)


@prop(115, "meshes", tier=4, live="S", evidence=f"{SCHEMAS}; glTF 2.0, 4.4", models=(TRELLIS,))
def meshes_are_binary_gltf(trace: Trace) -> Claims:
    """A mesh is a binary glTF 2.0 of the length in its head, with a JSON chunk first."""
    for _, _, e in _successes(trace, TRELLIS):
        for file, fetched in _downloads(trace, e):
            name = str(file.get("file_name", ""))
            yield claim("name", name.endswith(".glb"), "its name ends with .glb", e, name)
            head = fetched.body[:20].ljust(20, b"\0")
            magic, version, length, _, kind = struct.unpack("<4sIII4s", head)
            found = magic, version, length, kind
            wanted = b"glTF", 2, len(fetched.body), b"JSON"
            yield equal("head", found, wanted, "it is a binary glTF", fetched)


@prop(
    116,
    "units several shots-with-sound speech",
    tier=5,
    live="S",
    evidence="PROTOCOL 15, 16.3 (prices of the platform API), 11.2 (R: `str()` of a number)",
    models=COUNTED,
    each="run",
)
def units_follow_the_model(trace: Trace) -> Claims:
    """A success bills the units of its model: images, megapixels rounded up, seconds, characters.

    The platform API has the unit and its price.
    """
    for model, given, e in _successes(trace, *COUNTED):
        found = e.headers.get("x-fal-billable-units")
        expected = units(model, given)
        try:
            same = expected is not None and abs(float(found or "nan") - expected) < 1e-6
        except ValueError:
            same = False
        yield claim("units", same, f"it bills {expected} {model.unit}", e, found)
    yield from _prices(trace, COUNTED)


@prop(117, "transcripts cut", tier=4, evidence="PROTOCOL 11.2 (R): x-fal-raw-time", models=TIMED, each="run")
def time_is_billed_as_time(trace: Trace) -> Claims:
    """A model that is billed by time has its seconds in a header, and no units."""
    for _, _, e in _successes(trace, *TIMED):
        found = e.headers.get("x-fal-raw-time", "")
        is_time = found.replace(".", "", 1).isdecimal() and float(found) > 0
        yield claim("time", is_time, "it has the seconds of the run", e, found)
        yield equal("units", e.headers.get("x-fal-billable-units"), None, "it has no units", e)
    yield from _prices(trace, TIMED)


def _prices(trace: Trace, endpoints: tuple[str, ...]) -> Claims:
    asked = {s.step.endpoint for s in trace.submits()} & set(endpoints)
    for e in trace.of("call"):
        for price in (e.get("prices") or []) if "pricing" in e.url and asked else []:
            model = MODELS.get(price.get("endpoint_id"))
            if model is not None and model.endpoint in asked:
                found = price.get("unit_price"), price.get("unit")
                yield equal("price", found, (model.usd, model.unit), "the API has the price of the unit", e)


@prop(
    118, "shots-with-sound", tier=5, live="S", evidence=f"{SCHEMAS}: x-fal, 14.2 (L-422)", models=(KLING_26,)
)
def small_images_are_refused(trace: Trace) -> Claims:
    """An image below the least size of its field is `image_too_small`, with that size."""
    for model, submit, e in results_of(trace):
        for name, least in model.smallest.items():
            image = _decoded(str(submit.step.input.get(name)).partition(",")[2])
            if image is not None and min(image.width, image.height) < least:
                found = [(entry.get("type"), entry.get("ctx")) for entry in e.details]
                expected = [("image_too_small", {"min_height": least, "min_width": least})]
                yield equal("small", found, expected, "a small image is refused with the least size", e)
