"""Decodes an image with Pillow within limits; also a program, for large images.

`python pixels.py MAX_PIXELS MEMORY SECONDS` reads an image from standard input. It writes a line with the
width and height of the image and of the result, then rows of 8-bit red, green, blue. MEMORY (bytes) and
SECONDS (of processor time) limit the process. It imports nothing of falmock, to start in 70 ms.
"""

from __future__ import annotations

import hashlib
import resource
import signal
import struct
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SIDE: Final = 8192
TOO_LARGE: Final = 3  # exit code
BROKEN: Final = 4  # exit code

_DECODED = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_RECOGNISED = ("BMP", "ICO", "JPEG2000", "PSD", "TIFF")  # refused as unsupported
# Brands of the container format HEIF, which Pillow cannot read. AVIF has the same container, and the general
# brands too, with one of its own among the compatible ones.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_IN_GENERAL = {b"mif1", b"mif2", b"msf1"}
_AVIF = {b"avif", b"avis"}
_LONGEST_FTYP = 256  # bytes of the box with the brands that are read
# A progressive JPEG has about ten scans. Thousands of empty ones fit in a few kilobytes and take hours to
# decode. The marker's bytes are counted anywhere in the file: 8 MiB of a video, which some phones append to
# their pictures, have about 130 of them by chance.
_MAX_SCANS = 200
KEPT_SIDE: Final = 1280  # pixels of the shorter side, enough to cover any frame of 720p
_TURNS: Final[dict[object, Image.Transpose]] = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# This bounds the memory; also, warning filters are global to the process.
_one_at_a_time = threading.Lock()


class Unsupported(Exception):
    """An image in a known format that is not supported."""


class TooLarge(Exception):
    """An image with too many pixels, or that needs too much memory."""


class Broken(Exception):
    """Not an image, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image, upright and opaque. Pictures with equal pixels are equal."""

    width: int  # of the original after rotation
    height: int
    size: tuple[int, int] = field(compare=False)  # of `rgb`, which is scaled down for a video
    rgb: bytes = field(compare=False, repr=False)  # rows of 8-bit red, green, blue
    digest: str  # SHA-256 of the pixels in hex

    @classmethod
    def of(cls, width: int, height: int, size: tuple[int, int], rgb: bytes) -> Picture:
        """Make a picture with its digest."""
        return cls(width, height, size, rgb, hashlib.sha256(b"%d %d " % size + rgb).hexdigest())


def measure(data: bytes, max_pixels: int) -> int:
    """Return the number of pixels from the header of an image.

    Raises:
        Unsupported: it has another format.
        TooLarge: a side is longer than MAX_SIDE, or it has more than `max_pixels`.
        Broken: it is not an image.
    """
    with _opened(data) as image:
        return _checked(image, data, max_pixels)


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode the first frame of an image. Raises as `measure` does."""
    with _opened(data) as image:
        _checked(image, data, max_pixels)
        return _picture(image)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    if _is_heif(data):
        raise Unsupported
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(BytesIO(data), formats=_DECODED + _RECOGNISED) as image:
                yield image
    except (Unsupported, TooLarge, Broken):
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise TooLarge from error
    except Exception as error:  # the decoders' errors have no common class
        raise Broken from error


def _is_heif(data: bytes) -> bool:
    """Check the brands in the first box of a file: a picture of an iPhone is one of HEIF."""
    size, kind, brand = int.from_bytes(data[:4]), data[4:8], data[8:12]
    if kind != b"ftyp":
        return False
    compatible = {data[at : at + 4] for at in range(16, min(size, _LONGEST_FTYP), 4)}
    return brand in _HEIF or (brand in _HEIF_IN_GENERAL and not compatible & _AVIF)


def _checked(image: Image.Image, data: bytes, max_pixels: int) -> int:
    if image.format in _RECOGNISED:
        raise Unsupported
    pixels = image.width * image.height
    if max(image.size) > MAX_SIDE or pixels > max_pixels:
        raise TooLarge
    if isinstance(image, JpegImageFile) and data.count(b"\xff\xda") > _MAX_SCANS:
        raise Broken
    return pixels


def _picture(image: Image.Image) -> Picture:
    width, height = image.size
    shrink = min(1.0, KEPT_SIDE / min(width, height))
    box = round(width * shrink), round(height * shrink)
    image.draft(None, box)  # a JPEG is decoded at no more than about twice this size
    kept = _in_colour(image)
    kept.thumbnail(box)
    kept = _opaque(kept)
    orientation = _orientation(image)
    if orientation in _TURNS:
        kept = kept.transpose(_TURNS[orientation])
    if orientation in _SIDEWAYS:
        width, height = height, width
    return Picture.of(width, height, kept.size, kept.tobytes())


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":  # Pillow would clip at 255
        image = image.point(lambda level: level / 257).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    image.load()
    return image if image.mode == mode else image.convert(mode)  # no copy, which would double the memory


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, struct.error):
        return None  # a broken EXIF block does not affect the pixels


def main(max_pixels: int, memory: int, seconds: float) -> int:
    """Decode from standard input to standard output. Return the exit code."""
    with suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.setitimer(signal.ITIMER_PROF, seconds)  # then the system kills the process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        picture = decode(sys.stdin.buffer.read(), max_pixels)
        sys.stdout.buffer.write(b"%d %d %d %d\n" % (picture.width, picture.height, *picture.size))
        sys.stdout.buffer.write(picture.rgb)
    except (TooLarge, MemoryError):
        return TOO_LARGE
    except (Broken, Unsupported):
        return BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
