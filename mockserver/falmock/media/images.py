"""Decodes input images, within limits.

fal names one limit for `veo2/image-to-video`: "up to 8MB". Read as MiB (8388608, the `max_size` that
PROTOCOL.md 16.1 infers), the formats, the largest side and the number of pixels are assumed.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from falmock.media import pixels, processes
from falmock.media.pixels import MAX_SIDE, Broken, Pixels, TooLarge, Unsupported
from falmock.media.renderer import RenderFailed
from falmock.protocol.model_errors import ModelError

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_PIXELS: Final = 50_000_000  # 50 MP cameras are common; WebP needs up to 16 bytes a pixel
MEMORY: Final = 1024 * 1024 * 1024  # bytes for decoding one large image
SUPPORTED_FORMATS: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")

# Images up to Full HD are decoded in a thread in about 40 ms. Starting a process takes longer.
_IN_THREAD: Final = 1920 * 1080
SECONDS: Final = 20.0  # of processor time for decoding one large image
_REAL_SECONDS: Final = 60.0
_PROGRAM: Final = str(Path(pixels.__file__))
_MAX_ANSWER: Final = 3 * MAX_SIDE * MAX_SIDE + 100  # bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image, upright and without transparency. Equal pixels make equal pictures.

    Attributes:
        width: of the original as one looks at it, in pixels.
        height: of the original as one looks at it, in pixels.
        size: width and height of `rgb`, which is not larger than a video needs.
        rgb: rows of 8-bit red, green, blue.
        digest: SHA-256 of the pixels, as hex.
    """

    width: int
    height: int
    size: tuple[int, int] = field(compare=False)
    rgb: bytes = field(compare=False, repr=False)
    digest: str


class Decoder:
    """Decodes small images in a thread and large ones in a separate process, one at a time.

    Args:
        max_pixels: the limit for an image.
        memory: the limit for the process in bytes.
        seconds: the limit for the process in seconds of processor time.
    """

    def __init__(
        self, *, max_pixels: int = MAX_PIXELS, memory: int = MEMORY, seconds: float = SECONDS
    ) -> None:
        self._max_pixels = max_pixels
        self._limits = [str(limit) for limit in (max_pixels, memory, seconds)]
        self._turn = asyncio.Lock()

    async def picture(self, data: bytes, *, loc: tuple[str, ...], value: object) -> Picture:
        """Decode the first frame of an image.

        Args:
            data: the file, whatever it may be.
            loc: where in the input it came from, as `("body", "image_url")`.
            value: the input there, echoed in errors.

        Raises:
            ModelError: `file_too_large`, `unsupported_image_format`, `image_too_large` or `image_load_error`.
            RenderFailed: no process could be started.
        """

        def refuse(kind: str, **ctx: Any) -> ModelError:
            return ModelError(kind, loc=loc, value=value, ctx=ctx or None)

        if len(data) > MAX_BYTES:
            raise refuse("file_too_large", max_size=MAX_BYTES)
        try:
            return await asyncio.to_thread(_picture, await self._pixels(data))
        except Unsupported:
            raise refuse("unsupported_image_format", supported_formats=list(SUPPORTED_FORMATS)) from None
        except TooLarge as error:
            raise refuse("image_too_large", max_height=MAX_SIDE, max_width=MAX_SIDE) from error
        except Broken as error:
            raise refuse("image_load_error") from error

    async def _pixels(self, data: bytes) -> Pixels:
        if await asyncio.to_thread(pixels.measure, data, self._max_pixels) <= _IN_THREAD:
            return await asyncio.to_thread(pixels.decode, data, self._max_pixels)
        command = [sys.executable, "-P", _PROGRAM, *self._limits]
        async with self._turn:
            try:
                ended = await processes.exchange(command, data, limit=_MAX_ANSWER, timeout=_REAL_SECONDS)
            except TimeoutError as error:
                raise Broken from error
            except OSError as error:
                raise RenderFailed(f"Cannot decode an image: {error}") from error
        if ended.code == pixels.TOO_LARGE:
            raise TooLarge
        if ended.code:
            raise Broken(f"the decoder ended with code {ended.code}")
        return _read(ended.stdout)


def _read(answer: bytes) -> Pixels:
    line, _, rgb = answer.partition(b"\n")
    width, height, *size = map(int, line.split())
    return Pixels(width, height, (size[0], size[1]), rgb)


def _picture(found: Pixels) -> Picture:
    digest = hashlib.sha256(b"%d %d " % found.size + found.rgb).hexdigest()
    return Picture(found.width, found.height, found.size, found.rgb, digest)
