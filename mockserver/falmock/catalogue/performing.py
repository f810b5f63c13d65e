"""Runs any model: makes its media, publishes them, and fills its output."""

from __future__ import annotations

import base64
import random
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import answers, outputs, reading, sources
from falmock.catalogue.outputs import Filler
from falmock.catalogue.planning import UNHEARD_SECONDS, Plan
from falmock.catalogue.pricing import Made
from falmock.media import Clip, Document, Sound, Still, Weights, archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from falmock.catalogue.entries import Entry, Json
    from falmock.catalogue.outputs import Path, Slot
    from falmock.catalogue.sources import Tools
    from falmock.media import Specification


@dataclass(frozen=True, slots=True)
class Performance:
    """What a run returns."""

    output: Json  # in the order of its fields
    made: Made  # for the price


_MEDIA: Final = tuple(
    (re.compile(pattern), medium)
    for pattern, medium in (
        (r"zip|archive", "zip"),
        (r"srt|subtitle", "srt"),
        (r"vtt", "vtt"),
        (r"config|json|metadata|settings|captions", "json"),
        (r"lora|weights|safetensors|checkpoint|latents", "weights"),
        (r"video|clip|movie|animation", "video"),
        (r"audio|vocals|drums|bass|guitar|piano|speech|song|music|stem|voice|^other$", "audio"),
        (r"image|mask|thumbnail|sprite|preview|(depth|normal)_map|photo|picture|visuali[sz]ation", "image"),
        (r"glb|gltf|obj|fbx|stl|usdz|ply|mesh|splat|model|3d", "mesh"),
        (r"textures?|color|albedo|roughness|metallic|normal|frame|sticker|layer|render|logo", "image"),
        (r"txt|text|transcript", "txt"),
    )
)
_FILE_NAMES: Final = {
    "config_file": "config.json",
    "diffusers_lora_file": "pytorch_lora_weights.safetensors",
    "lora_file": "lora.safetensors",
}
_READ: Final = ("image", "video", "audio", "archive")  # the first that a model takes has a log line
_FRAMES_IN_ZIP: Final = 8


async def perform(entry: Entry, model_input: BaseModel, tools: Tools) -> Performance:
    """Run a model.

    Raises:
        ModelError: an input file is wrong, or the output would be too large.
    """
    fields = reading.Fields.of(entry, model_input)
    asked_seed = reading.seed(fields)
    plan = Plan(
        entry=entry,
        fields=fields,
        sources=await sources.fetch(entry, fields, tools),
        seed=tools.seed % 2**32 if asked_seed is None else asked_seed,
        style=tools.style,
    )
    return await _Run(plan, tools).perform()


@dataclass(slots=True)
class _Run:
    plan: Plan
    tools: Tools
    made: list[tuple[bool, Specification]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    async def perform(self) -> Performance:
        entry = self.plan.entry
        schema = _described(entry)
        slots = list(outputs.slots(entry.schemas, schema))
        main = _main(slots, entry)
        filler = Filler(entry.schemas, answers.Known(self.plan, self.tools.random))
        files: dict[Path, Any] = {}
        for slot in slots:
            if slot is main or slot.required or self._is_wanted(slot):
                files[slot.path] = await self._files(slot, filler, main=slot is main)
        output = filler.fill(schema, files)
        if not output and entry.endpoint.endswith("/chat/completions"):
            output = answers.chat_completion(self.plan, self.tools.random)
        return Performance(output, self._summary(output))

    async def _files(self, slot: Slot, filler: Filler, *, main: bool) -> Any:
        count = reading.count(self.plan.fields) if slot.many and main else 1
        if slot.many and self.plan.fields.values.get("return_multiple_masks") is True and "mask" in slot.name:
            count = reading.count(self.plan.fields, ["max_masks"])
        found = [await self._file(slot, index, filler, main=main) for index in range(count)]
        return found if slot.many else found[0]

    async def _file(self, slot: Slot, index: int, filler: Filler, *, main: bool) -> Any:
        spec = await self._specification(slot, index, main=main)
        self.made.append((main, spec))
        name = self._unused_name(slot, spec, main=main)
        if reading.inline(self.plan.fields):
            url = await self.tools.inline(spec)
            size: int | None = len(_bytes(url))
        else:
            published = await self.tools.publish(spec, name=name)
            url, size = published.url, published.file_size
        facts = {"url": url, "content_type": spec.content_type, "file_name": name, "file_size": size}
        return url if slot.bare else filler.file(slot.schema, {**facts, **_measures(spec, size)})

    async def _specification(self, slot: Slot, index: int, *, main: bool) -> Specification:
        plan, medium = self.plan, _medium(slot, self.plan.entry)
        variant = index + (0 if main else len(self.made))
        if medium == "zip":
            return await self._archive(slot.name)
        if medium in {"json", "srt", "vtt", "txt"}:
            return plan.document(_FILE_NAMES.get(slot.name, f"{slot.name.removesuffix('_file')}.{medium}"))
        declared = slot.schema.get("properties", {}).get("content_type", {}).get("default")
        default = {"image/jpeg": "jpeg", "image/webp": "webp"}.get(str(declared), "png")
        makers: dict[str, Callable[[], Specification]] = {
            "video": lambda: plan.clip(variant),
            "audio": lambda: plan.sound(variant),
            "mesh": lambda: plan.mesh(slot.name),
            "weights": lambda: Weights(seed=plan.seed),
            "image": lambda: plan.still(variant, main=main, default=default),
        }
        return makers[medium]()

    async def _archive(self, name: str) -> Document:
        """Return a zip of frames, one for each second of the video."""
        clip = self.plan.clip()
        frames = min(max(1, round(clip.seconds)), _FRAMES_IN_ZIP)
        members = {}
        for index in range(frames):
            still = self.plan.still(index, main=False, default="png")
            if isinstance(still, Still):
                still = replace(still, width=clip.size[0], height=clip.size[1], format="png")
            members[f"frame_{index:04}{still.suffix}"] = _bytes(await self.tools.inline(still))
        return Document(name=f"{name.removesuffix('_zip')}.zip", data=archive(members))

    def _unused_name(self, slot: Slot, spec: Specification, *, main: bool) -> str:
        stem, suffix = ("output" if main else re.sub(r"_(file|urls?|zip)$", "", slot.name)), spec.suffix
        if slot.name in _FILE_NAMES:
            stem = _FILE_NAMES[slot.name].rpartition(".")[0]
        name, number = f"{stem}{suffix}", 0
        while name in self.names:
            number += 1
            name = f"{stem}_{number}{suffix}"
        self.names.add(name)
        return name

    def _is_wanted(self, slot: Slot) -> bool:
        """Check whether the input asks for an optional file, as `output_mask` asks for `mask_image`."""
        if slot.name in {"glb", "model_glb"}:
            return True
        for name, value in self.plan.fields.values.items():
            if isinstance(value, list) and slot.name in value:
                return True
            found = re.match(r"(output|return|include|save|export|generate|with|debug)_(.+)", name)
            if value is True and found and (slot.name.startswith(found[2]) or slot.name.endswith(found[2])):
                return True
        return False

    def _summary(self, output: Json) -> Made:
        """Return the facts that prices depend on."""
        plan, main = self.plan, [spec for is_main, spec in self.made if is_main]
        clips = [spec for spec in main if isinstance(spec, Clip)]
        sounds = [spec for spec in main if isinstance(spec, Sound)]
        clip = clips[0] if clips else None
        seconds = clip.seconds if clip is not None else sounds[0].seconds if sounds else None
        images = [spec for spec in main if spec.content_type.startswith("image/")]  # a GIF is one, too
        spoken = reading.speech(plan.fields)
        written = " ".join(value for value in output.values() if isinstance(value, str))
        return Made(
            images=tuple(spec.size for spec in images if isinstance(spec, Still | Clip)),
            pictures=tuple(plan.sources.pictures),
            seconds=seconds if seconds is not None else plan.heard_seconds or UNHEARD_SECONDS,
            width=clip.size[0] if clip else 0,
            height=clip.size[1] if clip else 0,
            frames=clip.frames if clip else 0,
            frames_per_second=clip.frames_per_second if clip else 0.0,
            sound=clip.has_sound if clip else False,
            files=max(1, len(main)),
            characters=len(spoken) if sounds else len(written),
            words=len(f"{spoken} {written}".split()),
        )


def _described(entry: Entry) -> Json:
    """Return the schema of the output; for one that says nothing, a guess by the medium."""
    schema, _, _ = outputs.target_of(entry.schemas, entry.schemas[entry.output])
    guessed = entry.medium if entry.medium in {"image", "video", "audio"} else None
    if schema.get("properties") or guessed is None:
        return schema
    names = ["url", "content_type", "file_name", "file_size"]
    file = {"type": "object", "required": ["url"], "properties": {name: {} for name in names}}
    return {"type": "object", "required": [guessed], "properties": {guessed: file}}


def _main(slots: list[Slot], entry: Entry) -> Slot | None:
    """Return the place of the file that the model is called for."""
    usual = {entry.medium, f"{entry.medium}s"}
    return min(
        slots,
        key=lambda slot: (_medium(slot, entry) != entry.medium, slot.name not in usual, not slot.required),
        default=None,
    )


def _medium(slot: Slot, entry: Entry) -> str:
    name, title = slot.name, str(slot.schema.get("title", "")).lower()
    for pattern, medium in _MEDIA:
        if pattern.search(name):
            return medium
    for medium in ("video", "audio", "image"):
        if medium in title:
            return medium
    return entry.medium if entry.medium not in {"text", "unknown"} else "image"


def _measures(spec: Specification, size: int | None) -> Mapping[str, Any]:
    """Return the facts about a file that only some media have, by the names of fal's fields."""
    if isinstance(spec, Clip):
        width, height = spec.size
        rate = {"fps": float(spec.rate), "frame_rate": float(spec.rate), "num_frames": spec.frames}
        seconds = round(spec.seconds, 3)
        return {"width": width, "height": height, "duration": seconds, "container": spec.container, **rate}
    if isinstance(spec, Still):
        return {"width": spec.width, "height": spec.height}
    if isinstance(spec, Sound):
        bits = round((size or 0) * 8 / spec.seconds)
        rate = {"sample_rate": spec.rate, "channels": spec.channels, "bitrate": bits}
        return {"duration": spec.seconds, "codec": spec.format, "container": spec.format, **rate}
    return {}


def _bytes(data_uri: str) -> bytes:
    return base64.b64decode(data_uri.partition(",")[2])


def logs(entry: Entry) -> tuple[tuple[float, str], ...]:
    """Return the log lines of a run, as (share of the run, message)."""
    files = sources.kinds(entry)
    begin, work, end = {
        "video": ("Starting video generation", "Generating video", "Uploading the video"),
        "image": ("Starting image generation", "Generating image", "Uploading the image"),
        "audio": ("Starting audio generation", "Generating audio", "Uploading the audio"),
        "mesh": ("Starting mesh generation", "Building the mesh", "Uploading the mesh"),
        "weights": ("Starting training", "Training", "Uploading the weights"),
    }.get(entry.medium, ("Starting", "Processing", ""))
    lines = [(0.05, begin)]
    lines += [(0.1, f"Reading the input {kind}") for kind in _READ if kind in files][:1]
    lines += [(share, f"{work}: {percent}%") for share, percent in ((0.3, 25), (0.5, 50), (0.7, 75))]
    return tuple([*lines, (0.9, end)] if end else lines)


def expect(entry: Entry, model_input: BaseModel) -> Made:
    """Return the facts of a run whose input files cannot be fetched.

    Raises:
        ModelError: the run would fail.
    """
    run = perform(entry, model_input, _NoTools())
    try:
        run.send(None)  # it awaits its tools only, and these do not wait
    except StopIteration as end:
        performance: Performance = end.value
        return performance.made
    raise RuntimeError("a model waits for something besides its tools")


class _Unpublished:
    url = ""
    file_size = None


class _NoTools:
    """Tools that fetch and render nothing."""

    seed = 0
    style = "plain"

    def __init__(self) -> None:
        self.random = random.Random(0)  # noqa: S311 - no secrets

    async def picture(self, url: str, *, loc: tuple[str | int, ...]) -> None:
        del url, loc

    async def recording(self, url: str, *, loc: tuple[str | int, ...], medium: str) -> None:
        del url, loc, medium

    async def publish(self, spec: Specification, *, name: str) -> _Unpublished:
        del spec, name
        return _Unpublished()

    async def inline(self, spec: Specification) -> str:
        return f"data:{spec.content_type},"
