"""Looks at an image with Pillow, under limits, before anything else does.

fal names one limit for `veo2/image-to-video`: "up to 8MB". Read as MiB (8388608, the `max_size` that
PROTOCOL.md 16.1 infers), the formats and the largest side are assumed.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Final

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from falmock.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_SIDE: Final = 8192
SUPPORTED_FORMATS: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")

_DECODED = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_RECOGNISED = ("BMP", "ICO", "JPEG2000", "PSD", "TIFF")  # told apart from what is no image at all
# A progressive JPEG has about ten scans. Thousands of empty ones, which fit in a few kilobytes, would keep
# the decoder busy for hours. The bytes are counted wherever they are, and 8 MiB of a video that a phone
# appended to its picture have some 130 by chance.
_MAX_SCANS = 200
_KEPT_SIDE = 1280  # what the shorter side needs so that the picture covers any frame of 720p
_TURNS: Final[dict[object, Image.Transpose]] = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}

# One image at a time: it bounds the memory, and the warning filters belong to the whole process.
_turn = threading.Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image, upright and without transparency. Equal pixels make equal pictures.

    Attributes:
        width: of the original as one looks at it, in pixels.
        height: likewise.
        size: width and height of `rgb`, which is not larger than a video needs.
        rgb: rows of 8-bit red, green, blue.
        digest: SHA-256 of the pixels, as hex.
    """

    width: int
    height: int
    size: tuple[int, int] = field(compare=False)
    rgb: bytes = field(compare=False, repr=False)
    digest: str


def look_at(data: bytes, *, loc: tuple[str, ...], value: object) -> Picture:
    """Decode the first frame of an image.

    Args:
        data: the file, whatever it may be.
        loc: where in the input it came from, as `("body", "image_url")`.
        value: the input there, echoed in errors.

    Raises:
        ModelError: `file_too_large`, `unsupported_image_format`, `image_too_large` or `image_load_error`.
    """
    refuse = partial(ModelError, loc=loc, value=value)
    if len(data) > MAX_BYTES:
        raise refuse("file_too_large", ctx={"max_size": MAX_BYTES})
    try:
        with _turn, _pillow_silent():
            return _decode(data, refuse)
    except ModelError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(refuse) from error
    except Exception as error:  # the decoders' errors have no class in common
        raise refuse("image_load_error") from error


@contextmanager
def _pillow_silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _decode(data: bytes, refuse: Callable[..., ModelError]) -> Picture:
    with Image.open(BytesIO(data), formats=_DECODED + _RECOGNISED) as image:
        if image.format in _RECOGNISED:
            raise refuse("unsupported_image_format", ctx={"supported_formats": list(SUPPORTED_FORMATS)})
        if max(image.size) > MAX_SIDE:
            raise _too_large(refuse)
        if isinstance(image, JpegImageFile) and data.count(b"\xff\xda") > _MAX_SCANS:
            raise refuse("image_load_error")
        return _picture(image)


def _too_large(refuse: Callable[..., ModelError]) -> ModelError:
    return refuse("image_too_large", ctx={"max_height": MAX_SIDE, "max_width": MAX_SIDE})


def _picture(image: Image.Image) -> Picture:
    width, height = image.size
    shrink = min(1.0, _KEPT_SIDE / min(width, height))
    box = round(width * shrink), round(height * shrink)
    image.draft(None, box)  # a JPEG is decoded at no more than about twice this size
    kept = _in_colour(image)
    kept.thumbnail(box)
    kept = _opaque(kept)
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        kept = kept.transpose(turn)
    if turn in _SIDEWAYS:
        width, height = height, width
    rgb = kept.tobytes()
    return Picture(width, height, kept.size, rgb, hashlib.sha256(b"%d %d " % kept.size + rgb).hexdigest())


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":  # Pillow would clip at 255
        image = image.point(lambda level: level / 257).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, struct.error):
        return None  # a broken EXIF block leaves the pixels as good as they were
