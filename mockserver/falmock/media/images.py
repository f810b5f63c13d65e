"""Decodes input images within limits.

fal documents one limit for `veo2/image-to-video`, "up to 8MB". That these are MiB is inferred (PROTOCOL.md
16.1). The formats, the longest side and the number of pixels are assumed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from falmock.media import pixels, processes
from falmock.media.pixels import MAX_SIDE, Broken, Picture, TooLarge, Unsupported
from falmock.media.processes import RenderFailed
from falmock.protocol.model_errors import ModelError

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_PIXELS: Final = 50_000_000  # cameras with 50 megapixels are common; WebP needs up to 16 bytes a pixel
SMALL: Final = 64 * 1024  # bytes of a file
SMALL_DECODED: Final = 1024 * 1024  # bytes of its pixels
RECENT: Final = 8  # small pictures in memory
MEMORY: Final = 1024 * 1024 * 1024  # bytes, to decode a large image
SUPPORTED_FORMATS: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")

# Images up to Full HD are decoded in a thread in about 40 ms. Starting a process takes longer.
_IN_THREAD: Final = 1920 * 1080
SECONDS: Final = 20.0  # of processor time, to decode a large image
_REAL_SECONDS: Final = 60.0
_PROGRAM: Final = str(Path(pixels.__file__))
_MAX_OUTPUT: Final = 3 * MAX_SIDE * MAX_SIDE + 100  # bytes


class Decoder:
    """Decodes small images in a thread, and large ones one at a time in a separate process.

    The process is limited in memory (bytes) and in seconds of processor time.
    """

    def __init__(
        self, *, max_pixels: int = MAX_PIXELS, memory: int = MEMORY, seconds: float = SECONDS
    ) -> None:
        self._recent: dict[bytes, Picture] = {}  # small ones, by the bytes of their file
        self._max_pixels = max_pixels
        self._limits = [str(limit) for limit in (max_pixels, memory, seconds)]
        self._one_at_a_time = asyncio.Lock()

    async def picture(self, data: bytes, *, loc: tuple[str | int, ...], value: object) -> Picture:
        """Decode the first frame of an image.

        Errors name the field of the input that it came from, as `("body", "image_url")`, and its value.

        Raises:
            ModelError: `file_too_large`, `unsupported_image_format`, `image_too_large` or `image_load_error`.
            RenderFailed: the process could not be started.
        """

        def refuse(kind: str, **ctx: Any) -> ModelError:
            return ModelError(kind, loc=loc, value=value, ctx=ctx or None)

        if len(data) > MAX_BYTES:
            raise refuse("file_too_large", max_size=MAX_BYTES)
        try:
            return await self._decode(data)
        except Unsupported:
            raise refuse("unsupported_image_format", supported_formats=list(SUPPORTED_FORMATS)) from None
        except TooLarge as error:
            raise refuse("image_too_large", max_height=MAX_SIDE, max_width=MAX_SIDE) from error
        except Broken as error:
            raise refuse("image_load_error") from error

    async def _decode(self, data: bytes) -> Picture:
        """Decode an image, unless it is small and was decoded lately: programs repeat their input."""
        if len(data) > SMALL:
            return await self._decode_anew(data)
        picture = self._recent.pop(data, None) or await self._decode_anew(data)
        if len(picture.rgb) <= SMALL_DECODED:
            if len(self._recent) >= RECENT:
                del self._recent[next(iter(self._recent))]  # the one used longest ago
            self._recent[data] = picture
        return picture

    async def _decode_anew(self, data: bytes) -> Picture:
        if await asyncio.to_thread(pixels.measure, data, self._max_pixels) <= _IN_THREAD:
            return await asyncio.to_thread(pixels.decode, data, self._max_pixels)
        command = [sys.executable, "-P", _PROGRAM, *self._limits]
        async with self._one_at_a_time:
            try:
                done = await processes.communicate(command, data, limit=_MAX_OUTPUT, timeout=_REAL_SECONDS)
            except TimeoutError as error:
                raise Broken from error
            except OSError as error:
                raise RenderFailed(f"Cannot decode an image: {error}") from error
        if done.code == pixels.TOO_LARGE:
            raise TooLarge
        if done.code:
            raise Broken(f"the decoder ended with code {done.code}")
        return await asyncio.to_thread(_read, done.output)


def _read(output: bytes) -> Picture:
    line, _, rgb = output.partition(b"\n")
    width, height, *size = map(int, line.split())
    return Picture.of(width, height, (size[0], size[1]), rgb)
