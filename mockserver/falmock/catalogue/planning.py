"""Decides the size, length and kind of each medium of an output."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from falmock.catalogue import reading, sizes, texts
from falmock.media import MAX_FRAMES, Clip, Document, Mesh, Sound, Still, can_have
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from falmock.catalogue.entries import Entry
    from falmock.catalogue.reading import Fields
    from falmock.catalogue.sizes import Size
    from falmock.catalogue.sources import Sources
    from falmock.media import Picture, Recording

FRAMES_PER_SECOND: Final = 24.0  # where a model does not say; usual for videos
SECONDS: Final = 5.0  # the same; the shortest clip of most models
UNHEARD_SECONDS: Final = 10.0  # of an input that was not fetched
MINIMAX_SECONDS: Final = 6.0  # the shortest of MiniMax
LANDSCAPE: Final = (1280, 720)
SQUARE: Final = (1024, 1024)
MOST_PIXELS: Final = 1280 * 720 * 30 * 600  # of all frames of a video; more takes ffmpeg minutes
LONGEST_SOUND: Final = 3600.0  # seconds
MUSIC: Final = 30.0  # seconds, where neither model nor caller says
EFFECT: Final = 5.0
CHARACTERS_PER_SECOND: Final = 15.0  # of speech, in many languages

_UPSCALER: Final = re.compile(r"upscal|esrgan|super-resolution|seedvr|aura-sr|ccsr|drct|/sr$|enhance")
_REMOVER: Final = re.compile(r"birefnet|rembg|background[-/]remov|remove-background|matting|bg-remov|cutout")
_SPEECH: Final = re.compile(r"tts|speech|voice|dialog|kokoro|dia-")
_EFFECTS: Final = re.compile(r"sound-effect|sfx|foley")
_AUDIBLE: Final = re.compile(r"sora|mmaudio|video-to-audio|foley|thinksound|merge-audio|lip-?sync|avatar")
_LIPS: Final = re.compile(r"lip-?sync|latentsync|avatar|talking|omnihuman|infinitalk|musetalk|dub")
_MP3: Final = re.compile(r"elevenlabs|minimax|playai|mp3")
_MESH_NAMES: Final = (("obj", "obj"), ("stl", "stl"), ("ply", "ply"), ("splat", "ply"), ("glb", "glb"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The media that one request asks for."""

    entry: Entry
    fields: Fields
    sources: Sources
    seed: int  # that of the input, or a random one
    style: Any  # of images and videos

    def clip(self, variant: int = 0) -> Clip:
        """Describe a video. Variants have other colours.

        Raises:
            ModelError: it would be too large.
        """
        video = self._source_video
        frames, rate = self._frames_and_rate()
        container = reading.container(self.fields) or "mp4"
        width, height = _checked(self._frame_size(), container)
        if frames > MAX_FRAMES or frames * width * height > MOST_PIXELS:
            raise ModelError("no_media_generated", ("body",))
        starts_at_end = video is not None and "extend" in self.entry.endpoint
        shown = (video.last if starts_at_end else video.first) if video is not None else None
        return Clip(
            frames=frames,
            frames_per_second=rate,
            sound=self._has_sound(),
            container=cast("Any", container),
            last_picture=self.sources.last,
            seed=self.seed + variant,
            **self._look(width, height, shown or self.sources.first),
        )

    def still(self, index: int, *, main: bool, default: str) -> Still | Clip | Document:
        """Describe an image: a GIF is a video of one frame, and a drawing in vectors is a document.

        A main one may be a cut-out with a transparent background; masks and previews have none. `default` is
        the format, if the input does not say.
        """
        width, height = self.still_size()
        transparent = main and self._is_transparent
        if main and self._is_vector:
            drawing = texts.draw(width, height, reading.prompt(self.fields), self.seed + index)
            return Document(name="output.svg", data=drawing.encode())
        kind = reading.image_format(self.fields) or ("png" if transparent else default)
        width, height = _checked((width, height), kind)
        first = self.sources.first or (self.sources.video.first if self.sources.video else None)
        look = self._look(width, height, first)
        if kind == "gif":
            return Clip(frames=1, container="gif", seed=self.seed + index, **look)
        return Still(format=cast("Any", kind), transparent=transparent, seed=self.seed, index=index, **look)

    def _look(self, width: int, height: int, picture: Picture | None) -> dict[str, Any]:
        """Return the fields that videos and images have in common."""
        shown = {"prompt": reading.prompt(self.fields), "model": self.entry.endpoint, "style": self.style}
        return {"width": width, "height": height, "picture": picture, **shown}

    def still_size(self) -> Size:
        """Return the size of the images."""
        source = self._picture_size
        if self._upscales and source is not None:
            return _checked(self._enlarged(source))
        asked = sizes.size(self.fields, like=source, video=False)
        return _checked(asked or source or (LANDSCAPE if self.entry.medium == "video" else SQUARE))

    def sound(self, variant: int = 0) -> Sound:
        """Describe a sound. Variants have other tones."""
        kind, sample_rate, channels = reading.sound_format(self.fields)
        kind = kind or ("mp3" if _MP3.search(self.entry.endpoint) else "wav")
        is_speech = self._is_speech
        usual = 24000 if is_speech and kind == "wav" else 44100
        return Sound(
            seconds=round(min(max(self._sound_seconds(), 0.1), LONGEST_SOUND), 3),
            format=cast("Any", kind),
            sample_rate=min(max(sample_rate or usual, 8000), 192_000),
            channels=min(max(channels or (1 if is_speech else 2), 1), 2),
            seed=self.seed + variant,
        )

    def mesh(self, name: str) -> Mesh:
        """Describe the mesh of an output field."""
        named = next((kind for word, kind in _MESH_NAMES if word in name), None)
        kind = named or reading.mesh_format(self.fields) or "glb"
        return Mesh(format=cast("Any", kind), seed=self.seed)

    def document(self, name: str) -> Document:
        """Describe a text file: subtitles, a transcription, or the settings of a training in JSON."""
        suffix = name.rpartition(".")[2]
        if suffix == "json":
            simple = str | int | float | bool
            facts = {key: value for key, value in self.fields.values.items() if isinstance(value, simple)}
            text = json.dumps({"model": self.entry.endpoint, **facts}, indent=2)
        elif suffix in {"srt", "vtt"}:
            text = texts.subtitles(self.transcription(), vtt=suffix == "vtt")
        else:
            text = f"{self.transcription().text}\n"
        return Document(name=name, data=text.encode())

    def transcription(self) -> texts.Transcription:
        """Return the words of the output's voice, or make up those of the input."""
        if self.entry.medium == "audio":
            return texts.spread([reading.speech(self.fields).split()], self.sound().seconds)
        return texts.transcribe(self.heard_seconds or UNHEARD_SECONDS, self.seed)

    @property
    def heard_seconds(self) -> float | None:
        """The length of the input sound, else of the input video."""
        heard = self.sources.sound or self.sources.video
        return heard.seconds if heard is not None else None

    @property
    def _source_video(self) -> Recording | None:
        """The video that the output has the size and length of, or None."""
        return None if "reference" in self.entry.endpoint else self.sources.video

    @property
    def _picture_size(self) -> Size | None:
        if self.sources.first is not None:
            return self.sources.first.width, self.sources.first.height
        video = self.sources.video
        return (video.width, video.height) if video is not None and video.has_video else None

    @property
    def _upscales(self) -> bool:
        return _UPSCALER.search(self.entry.endpoint) is not None and "mode" not in self.fields.given

    @property
    def _is_transparent(self) -> bool:
        asked = self.fields.first(["background", "transparent_background", "transparency"])
        return asked in ("transparent", True) or _REMOVER.search(self.entry.endpoint) is not None

    @property
    def _is_vector(self) -> bool:
        style = str(self.fields.values.get("style"))
        return style.startswith("vector_") or re.search(r"vector|svg", self.entry.endpoint) is not None

    @property
    def _is_speech(self) -> bool:
        is_effect = _EFFECTS.search(self.entry.endpoint) is not None
        names = f"{self.entry.endpoint} {self.entry.category}"
        known = self.fields.has(reading.VOICES) or _SPEECH.search(names)
        follows = "audio" in self.sources.kinds and not reading.speech(self.fields)
        return bool(known) and not is_effect and not follows

    def _enlarged(self, source: Size) -> Size:
        side = sizes.target_side(self.fields)
        times = side / min(source) if side is not None else reading.factor(self.fields)
        return max(1, round(source[0] * times)), max(1, round(source[1] * times))

    def _frame_size(self) -> Size:
        video, like = self._source_video, self._picture_size
        if video is not None and video.has_video:
            kept = video.width, video.height
            if self._upscales:
                return self._enlarged(kept)
            if not sizes.gave_size(self.fields):
                return kept
        asked = sizes.size(self.fields, like=like, video=True)
        if asked is None and like is not None:
            asked = sizes.fit_side(like[0] / like[1], min(LANDSCAPE))
        return asked or LANDSCAPE

    def _frames_and_rate(self) -> tuple[int, float]:
        fields, video = self.fields, self._source_video
        asked_rate, kept_rate = reading.rate(fields), video.frames_per_second if video is not None else 0
        rate = (None if kept_rate and not fields.gave(reading.RATES) else asked_rate) or kept_rate
        rate = rate or FRAMES_PER_SECOND
        frames, seconds = reading.frames(fields), reading.seconds(fields)
        kept = self._kept_seconds()
        if kept is not None and not reading.gave_length(fields):
            frames, seconds = None, kept
        if frames is None or (seconds is not None and not fields.gave(reading.FRAMES)):
            usual = MINIMAX_SECONDS if "/minimax" in self.entry.endpoint else SECONDS
            frames = round((seconds or usual) * rate)
        return max(frames, 1), rate

    def _kept_seconds(self) -> float | None:
        """Return the length that the output has from its input video or sound."""
        video, sound = self._source_video, self.sources.sound
        if video is None or "extend" in self.entry.endpoint:
            # The sound of an avatar is its speech, unless the model has a field for the length
            has_length = self.fields.has(["duration", *reading.FRAMES])
            return None if sound is None or has_length else sound.seconds
        if sound is None or not _LIPS.search(self.entry.endpoint):
            return float(video.seconds)
        cut = self.fields.values.get("sync_mode") == "cut_off"
        return float(min(video.seconds, sound.seconds)) if cut else float(sound.seconds)

    def _has_sound(self) -> bool:
        switch = reading.sound(self.fields)
        if switch is not None:
            return switch
        video = self._source_video
        audible = _AUDIBLE.search(self.entry.endpoint) is not None or "audio" in self.sources.kinds
        return audible or (video is not None and video.has_sound)

    def _sound_seconds(self) -> float:
        if self._is_speech:
            characters = max(len(reading.speech(self.fields)), 1)
            return characters / CHARACTERS_PER_SECOND / reading.speed(self.fields)
        asked, heard = reading.seconds(self.fields), self.heard_seconds
        if heard is not None and not reading.gave_length(self.fields):
            return heard
        return asked or (EFFECT if _EFFECTS.search(self.entry.endpoint) else MUSIC)


def _checked(size: Size, kind: str = "") -> Size:
    """Check that media of some kind can have a size.

    Raises:
        ModelError: it is too large, or has no pixels.
    """
    if not can_have(*size, kind):
        raise ModelError("no_media_generated", ("body",))
    return size
