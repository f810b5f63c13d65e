"""Typed requests for `fal-ai/veo2` and `fal-ai/veo2/image-to-video` (PROTOCOL.md 16)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, get_args

from falqueue._errors import InvalidInput
from falqueue._files import source_of
from falqueue._handle import FieldError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falqueue._files import Picture
    from falqueue._types import Json

Duration = Literal["5s", "6s", "7s", "8s"]
ImageAspect = Literal["auto", "auto_prefer_portrait", "16:9", "9:16"]
TextAspect = Literal["16:9", "9:16", "1:1"]

IMAGE_LIMIT: Final = 8 << 20  # the page says 8MB, which may also mean fewer bytes
FIRST_FIVE_SECONDS, FURTHER_SECOND = Decimal("2.50"), Decimal("0.50")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that a model made. `file_size` is in bytes. Only `url` is always there.

    >>> File.parse({"url": "https://v3.fal.media/files/a/b.mp4"}).file_size is None
    True
    """

    url: str
    content_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    file_data: str | None = None

    @classmethod
    def parse(cls, body: Json) -> File:
        """Parse fal's File object. Raises KeyError, TypeError or ValueError if it is malformed."""
        if not isinstance(body["url"], str):
            raise TypeError("a file's url is not a string")
        size = body.get("file_size")
        return cls(
            url=body["url"],
            content_type=body.get("content_type"),
            file_name=body.get("file_name"),
            file_size=None if size is None else int(size),
            file_data=body.get("file_data"),
        )


@dataclass(frozen=True, slots=True)
class VideoOutput:
    """The output of a video model.

    >>> VideoOutput.parse({"video": {"url": "https://v3.fal.media/files/a/b.mp4"}}).video.url
    'https://v3.fal.media/files/a/b.mp4'
    """

    video: File

    @classmethod
    def parse(cls, body: Json) -> VideoOutput:
        """Parse the model's output. Raises KeyError, TypeError or ValueError if it is malformed."""
        return cls(File.parse(body["video"]))


class _Veo2:
    __slots__ = ()
    duration: Duration

    @property
    def price(self) -> Decimal:
        """US dollars, from fal's page for the text model; users report the same for the image model."""
        return FIRST_FIVE_SECONDS + FURTHER_SECOND * (int(self.duration.removesuffix("s")) - 5)

    @staticmethod
    def output(body: Json) -> VideoOutput:
        return VideoOutput.parse(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Veo2ImageToVideo(_Veo2):
    """Input of `fal-ai/veo2/image-to-video`, which animates an image as a 720p video.

    `image_url` is a URL or data URI, or an image of up to 8 MB as path, bytes or Pillow image.

    >>> request = Veo2ImageToVideo(prompt="It waves", image_url="https://example.com/a.png", duration="8s")
    >>> request.check()
    >>> request.price
    Decimal('4.00')
    """

    endpoint: ClassVar[str] = "fal-ai/veo2/image-to-video"

    prompt: str
    image_url: Picture
    aspect_ratio: ImageAspect = "auto"
    duration: Duration = "5s"

    def arguments(self) -> Json:
        return {name: getattr(self, name) for name in ("prompt", "image_url", "aspect_ratio", "duration")}

    def check(self) -> None:
        """Raise `InvalidInput` with every field that the model's page rules out."""
        _raise_if_any(
            *_text("prompt", self.prompt),
            *_image(self.image_url),
            *_choice("aspect_ratio", self.aspect_ratio, get_args(ImageAspect)),
            *_choice("duration", self.duration, get_args(Duration)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Veo2TextToVideo(_Veo2):
    """Input of `fal-ai/veo2`, which makes a video from a prompt.

    >>> Veo2TextToVideo(prompt="A lego chef cooking eggs").price
    Decimal('2.50')
    """

    endpoint: ClassVar[str] = "fal-ai/veo2"

    prompt: str
    aspect_ratio: TextAspect = "16:9"
    duration: Duration = "5s"
    negative_prompt: str | None = None
    enhance_prompt: bool = True
    seed: int | None = None
    auto_fix: bool = True

    def arguments(self) -> Json:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def check(self) -> None:
        """Raise `InvalidInput` with every field that the model's page rules out."""
        _raise_if_any(
            *_text("prompt", self.prompt),
            *_choice("aspect_ratio", self.aspect_ratio, get_args(TextAspect)),
            *_choice("duration", self.duration, get_args(Duration)),
        )


def _text(name: str, value: object) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield FieldError(("body", name), "Input should be a valid string", "string_type", value)


def _choice(name: str, value: object, choices: tuple[str, ...]) -> Iterator[FieldError]:
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        yield FieldError(("body", name), f"Input should be {expected}", "literal_error", value)


def _image(value: Any) -> Iterator[FieldError]:
    loc = ("body", "image_url")
    if isinstance(value, str):
        if not value.startswith(("http://", "https://", "data:image/")):
            message = "Not a URL or data URI; pass a file as pathlib.Path"
            yield FieldError(loc, message, "url_scheme", value)
        return
    try:
        source = source_of(value)
    except (OSError, UsageError) as error:
        yield FieldError(loc, f"Cannot be read: {error}", "image_load_error")
        return
    if not source.content_type.startswith("image/"):
        yield FieldError(loc, "Not an image of a known format", "unsupported_image_format")
    if source.size > IMAGE_LIMIT:
        yield FieldError(loc, f"{source.size} bytes; the limit is 8 MB", "file_too_large")


def _raise_if_any(*errors: FieldError) -> None:
    if errors:
        raise InvalidInput("; ".join(map(str, errors)), errors=errors)
