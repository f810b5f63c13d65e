"""Reads the fields of an input that decide its media.

The models of fal spell the same fact in many ways. The tables here have the spellings. A reader returns None
where an input says nothing; it never refuses a value, because the schema has accepted it.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from falmock.catalogue.entries import Entry, Json

_LARGEST: Final = sys.float_info.max
LONGEST: Final = 600.0  # seconds of a medium; the types of some models have no bounds

_SECONDS: Final = {
    "duration": 1.0,
    "duration_seconds": 1.0,
    "seconds_total": 1.0,
    "total_seconds": 1.0,
    "seconds": 1.0,
    "num_seconds": 1.0,
    "video_duration": 1.0,
    "audio_duration": 1.0,
    "target_duration": 1.0,
    "output_duration": 1.0,
    "length": 1.0,
    "video_length": 1.0,
    "audio_length": 1.0,
    "music_length_ms": 0.001,
    "duration_ms": 0.001,
    "length_ms": 0.001,
}
FRAMES: Final = ("num_frames", "number_of_frames", "frames_num", "frame_count", "n_frames")
RATES: Final = (
    "frames_per_second",
    "fps",
    "frame_rate",
    "target_fps",
    "output_fps",
    "export_fps",
    "video_fps",
)
_COUNTS: Final = (
    "num_images",
    "num_samples",
    "num_results",
    "num_outputs",
    "num_videos",
    "num_songs",
    "num_generations",
    "number_of_images",
    "n",
)
_FACTORS: Final = ("upscale_factor", "upscaling_factor", "scale_factor", "upscale_ratio", "scale")
_FORMATS: Final = (
    "output_format",
    "image_format",
    "video_output_type",
    "video_format",
    "audio_format",
    "output_audio_format",
    "format",
    "output_type",
    "output_codec",
    "response_format",
    "geometry_file_format",
    "export_format",
)
_SOUND_SWITCHES: Final = (
    "generate_audio",
    "enable_audio",
    "generate_audio_switch",
    "audio",
    "with_audio",
    "add_audio",
    "enable_sound",
    "generate_sound",
    "sound",
    "keep_audio",
    "keep_original_sound",
    "original_sound_switch",
)
_TEXTS: Final = (
    "text",
    "gen_text",
    "tts_text",
    "text_input",
    "preview_text",
    "script",
    "input",
    "inputs",
    "dialogue",
    "prompt",
)
VOICES: Final = ("voice", "voice_id", "voice_setting", "voices", "speaker", "speakers", "preview_text")

_CONTAINERS: Final = {
    "mp4": "mp4",
    "h264": "mp4",
    "webm": "webm",
    "vp9": "webm",
    "mov": "mov",
    "prores": "mov",
    "gif": "gif",
}
_SOUND_FORMATS: Final = ("mp3", "wav", "flac", "opus", "ogg", "m4a", "aac", "pcm", "ulaw", "alaw")
_MESH_FORMATS: Final = ("glb", "obj", "stl", "ply")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one validated input."""

    values: Mapping[str, Any]  # by name, defaults included
    given: frozenset[str]  # the names of those that the caller set
    properties: Mapping[str, Json]  # their schemas

    @classmethod
    def of(cls, entry: Entry, model_input: BaseModel) -> Fields:
        aliases = {name: info.alias or name for name, info in type(model_input).model_fields.items()}
        given = frozenset(aliases.get(name, name) for name in model_input.model_fields_set)
        properties = entry.schemas.get(entry.input, {}).get("properties", {})
        # Not an object, if the input takes anything
        values: object = model_input.model_dump(by_alias=True, warnings=False)
        return cls(values if isinstance(values, dict) else {}, given, properties)

    def first(self, names: Iterable[str]) -> Any:
        """Return the first value that is not null."""
        return next((self.values[name] for name in names if self.values.get(name) is not None), None)

    def number(self, names: Iterable[str], unit: str = "") -> float | None:
        """Return the first value that is a number, or a text of one, which may have a unit."""
        found = (as_number(self.values.get(name), unit) for name in names)
        return next((number for number in found if number is not None), None)

    def texts(self, names: Iterable[str]) -> list[str]:
        """Return the values that are texts, in lower case."""
        return [value.lower() for name in names if isinstance(value := self.values.get(name), str)]

    def has(self, names: Iterable[str]) -> bool:
        """Check whether the model has one of some fields."""
        return any(name in self.values for name in names)

    def gave(self, names: Iterable[str]) -> bool:
        """Check whether the caller set one of some fields."""
        return any(name in self.given and self.values.get(name) is not None for name in names)

    def choices(self, name: str) -> list[Any]:
        """Return the values that a field can have, if its schema lists them."""
        schema = self.properties.get(name, {})
        branches = [schema, *schema.get("anyOf", ())]
        return [value for branch in branches for value in branch.get("enum", ())]


def seconds(fields: Fields) -> float | None:
    """Return the length that an input asks for: 5 for 5, "5", "5s" and 5.0, None for "auto"."""
    for name, unit in _SECONDS.items():
        value = fields.values.get(name)
        found = as_number(value, r"\s*(?:s|sec|secs|seconds)?")
        if found is not None and found > 0:
            return min(found * unit, LONGEST)
    plan = fields.values.get("composition_plan")
    sections = objects(plan.get("sections")) if isinstance(plan, dict) else []
    planned = sum(_milliseconds(section, "duration_ms") for section in sections) / 1000
    # `fal-ai/ffmpeg-api/compose` counts in milliseconds
    tracks = objects(fields.values.get("tracks"))
    keyframes = [frame for track in tracks for frame in objects(track.get("keyframes"))]
    ends = [_milliseconds(frame, "timestamp") + _milliseconds(frame, "duration") for frame in keyframes]
    found = planned or max(ends, default=0.0) / 1000
    return min(found, LONGEST) if found > 0 else None


def _milliseconds(facts: Json, name: str) -> float:
    return as_number(facts.get(name)) or 0.0


def gave_length(fields: Fields) -> bool:
    """Check whether the caller chose a length."""
    return fields.gave((*_SECONDS, *FRAMES))


def frames(fields: Fields) -> int | None:
    """Return the number of frames that an input asks for."""
    found = fields.number(FRAMES)
    return max(1, round(found)) if found is not None else None


def rate(fields: Fields) -> float | None:
    """Return the frames a second that an input asks for."""
    found = fields.number(RATES)
    return found if found is not None and 0.1 <= found <= 1000 else None  # noqa: PLR2004 - what media can have


def count(fields: Fields, names: Iterable[str] = _COUNTS) -> int:
    """Return the number of images, videos or sounds that an input asks for."""
    return max(1, min(100, round(fields.number(names) or 1)))


def factor(fields: Fields) -> float:
    """Return how many times an upscaler enlarges each side."""
    found = fields.number(_FACTORS, "x?")
    return 2.0 if found is None else min(max(found, 1.0), 16.0)


def image_format(fields: Fields) -> str | None:
    """Return "jpeg", "png", "webp" or "gif"."""
    for text in fields.texts(_FORMATS):
        if found := re.search("jpe?g|png|webp|gif", text):
            return "jpeg" if found[0].startswith("jp") else found[0]
    return None


def container(fields: Fields) -> str | None:
    """Return "mp4", "webm", "mov" or "gif"; also for names like "X264 (.mp4)"."""
    for text in fields.texts(_FORMATS):
        for word, found in _CONTAINERS.items():
            if word in text:
                return found
    return None


def sound_format(fields: Fields) -> tuple[str | None, int | None, int | None]:
    """Return format, samples a second and channels: "mp3" and 44100 for "mp3_44100_128"."""
    setting = fields.first(["audio_setting", "audio_settings", "output_audio_setting"])
    nested = setting if isinstance(setting, dict) else {}
    kind, samples = None, as_number(nested.get("sample_rate")) or fields.number(["sample_rate"])
    for text in [*fields.texts(_FORMATS), str(nested.get("format") or "").lower()]:
        words = text.split("_")
        if words[0] in _SOUND_FORMATS:
            kind = words[0]
            samples = (as_number(words[1]) if len(words) > 1 else None) or samples
            break
    channels = as_number(nested.get("channel")) or fields.number(["channels", "channel"])
    return kind, samples and round(samples), channels and round(channels)  # type: ignore[return-value]


def mesh_format(fields: Fields) -> str | None:
    """Return "glb", "obj", "stl" or "ply"."""
    return next((text for text in fields.texts(_FORMATS) if text in _MESH_FORMATS), None)


def inline(fields: Fields) -> bool:
    """Check whether files are wanted as data URIs. Some models have another `sync_mode`, which is a text."""
    return fields.values.get("sync_mode") is True


def sound(fields: Fields) -> bool | None:
    """Return whether a video has sound; None if the model has no switch for it."""
    switches = (fields.values.get(name) for name in _SOUND_SWITCHES)
    return next((switch for switch in switches if isinstance(switch, bool)), None)


def prompt(fields: Fields) -> str:
    """Return the text that a model is asked to show or play."""
    names = ("prompt", "text", "text_prompt", "scene_description", "tags", "lyrics_prompt")
    found = next((value for name in names if isinstance(value := fields.values.get(name), str) and value), "")
    if not found and isinstance(shots := fields.values.get("multi_prompt"), list):
        return " ".join(str(shot.get("prompt", "") if isinstance(shot, dict) else shot) for shot in shots)
    return found


def speech(fields: Fields) -> str:
    """Return the text for a voice."""
    for name in _TEXTS:
        value = fields.values.get(name)
        if isinstance(value, list):
            lines = [line.get("text") if isinstance(line, dict) else line for line in value]
            value = " ".join(line for line in lines if isinstance(line, str))
        if isinstance(value, str) and value:
            return value
    return ""


def speed(fields: Fields) -> float:
    """Return the speed of a voice, 1.0 for the usual one."""
    setting = fields.values.get("voice_setting")
    found = as_number(setting.get("speed")) if isinstance(setting, dict) else fields.number(["speed"])
    return found if found and 0.05 < found < 20 else 1.0  # noqa: PLR2004


def seed(fields: Fields) -> int | None:
    """Return the seed of an input. Some models take -1 for a random one."""
    found = fields.number(["seed"])
    return round(found) if found is not None and found >= 0 else None


def as_number(value: object, unit: str = "") -> float | None:
    """Return a number, or that in a text such as "5" or, with a unit, "5s"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) <= _LARGEST else None
    if isinstance(value, str) and (found := re.fullmatch(rf"\s*(\d{{1,9}}(?:\.\d{{1,9}})?){unit}\s*", value)):
        return float(found[1])
    return None


def objects(value: object) -> list[Json]:
    """Return the objects in a list, or none."""
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []
