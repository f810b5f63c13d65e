"""Image bombs by name."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

PNG: Final = b"\x89PNG\r\n\x1a\n"
BILLION_LAUGHS: Final = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (name, b"&%c;" % (name - 1) * 10) for name in range(ord("b"), ord("k")))
    + b']><svg xmlns="http://www.w3.org/2000/svg" width="9999999" height="9999999"><text>&j;</text></svg>'
)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return PNG + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")


def pixels(width: int, height: int, size: int = 3) -> bytes:
    """Return black pixels of a PNG: a few kilobytes for many megabytes."""
    squeezer = zlib.compressobj(9)
    rows = [squeezer.compress(bytes(1 + width * size)) for _ in range(height)]
    return png_chunk(b"IDAT", b"".join(rows) + squeezer.flush())


def deflated(size: int) -> bytes:
    squeezer = zlib.compressobj(9)
    parts = [squeezer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join(parts) + squeezer.flush()


def gif(width: int, height: int, *blocks: bytes) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"".join(blocks) + b";"


def gif_frame(width: int, height: int, data: bytes = b"\x02\x16" + bytes([0x84] * 22) + b"\x00") -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + data


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def vp8x(width: int, height: int, flags: int = 0) -> bytes:
    side = [(length - 1).to_bytes(3, "little") for length in (width, height)]
    return riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + side[0] + side[1])


def vp8l(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return riff_chunk(b"VP8L", b"\x2f" + struct.pack("<I", bits) + bytes(20))


def with_size(data: bytes, marker: bytes, skip: int, fields: bytes) -> bytes:
    """Return data with other fields so many bytes after a marker."""
    start = data.index(marker) + skip
    return data[:start] + fields + data[start + len(fields) :]


def tiff(entries: list[bytes], next_offset: int = 0) -> bytes:
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + struct.pack("<I", next_offset)


def tiff_entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def tiff_of(width: int, height: int) -> bytes:
    values = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 1}
    return tiff([tiff_entry(tag, 4, 1, value) for tag, value in values.items()])


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def ico(count: int, image: bytes) -> bytes:
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(image), 6 + 16 * count)
    return struct.pack("<HHH", 0, 1, count) + entry * count + image


SMALL: Final = Image.effect_noise((64, 48), 80).convert("RGB")
JPEG: Final = saved(SMALL, "JPEG", progressive=True)
WEBP: Final = saved(SMALL, "WEBP")
AVIF: Final = saved(SMALL, "AVIF")
BROKEN_LZW: Final = b"\x0c\xff" + b"\xff" * 255 + b"\0"
FRAMES: Final = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in range(50)]
LAST_SCAN: Final = JPEG[JPEG.rindex(b"\xff\xda") : -2]
EXIF_LOOP: Final = (
    b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tiff_entry(0x8769, 4, 1, 8) + struct.pack("<I", 8)
)


def avif_that_claims(width: int, height: int) -> bytes:
    return with_size(AVIF, b"ispe", 8, struct.pack(">II", width, height))


def jpeg_that_claims(width: int, height: int) -> bytes:
    return with_size(JPEG, b"\xff\xc2", 5, struct.pack(">HH", height, width))


def scans(count: int) -> bytes:
    """Return a JPEG of a few kilobytes that takes some seconds of processor time for 190 scans."""
    data = saved(SMALL, "JPEG", progressive=True, subsampling=0)
    claim = with_size(data, b"\xff\xc2", 5, struct.pack(">HH", 6000, 8000))
    return claim[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


# fal's error type, or None if the image can be decoded.
LOAD, LARGE, UNSUPPORTED = "image_load_error", "image_too_large", "unsupported_image_format"
BOMBS: Final[dict[str, tuple[Callable[[], bytes], str | None]]] = {
    "PNG that claims 60,000 x 60,000": (lambda: png(60_000, 60_000), LARGE),
    "PNG that claims 2^31 - 1 pixels a side": (lambda: png(2**31 - 1, 2**31 - 1), LARGE),
    "PNG of no width": (lambda: png(0, 10, pixels(0, 10)), LOAD),
    "PNG of 8192 x 8192 pixels": (lambda: png(8192, 8192, pixels(8192, 64)), LARGE),
    "PNG with more pixels than it claims": (lambda: png(4, 4, pixels(2000, 2000)), None),
    "PNG with fewer pixels than it claims": (lambda: png(2000, 1000, pixels(2000, 10)), None),
    "PNG whose pixels are no zlib": (lambda: png(100, 100, png_chunk(b"IDAT", b"\xff" * 1000)), LOAD),
    "PNG without pixels": (lambda: png(100, 100), LOAD),
    "PNG with 100 MiB of compressed text": (
        lambda: png(4, 4, png_chunk(b"zTXt", b"a\0\0" + deflated(100 << 20)), pixels(4, 4)),
        LOAD,
    ),
    "PNG with 100 MiB of compressed international text": (
        lambda: png(4, 4, png_chunk(b"iTXt", b"a\0\1\0\0\0" + deflated(100 << 20)), pixels(4, 4)),
        LOAD,
    ),
    "PNG with a colour profile of 100 MiB": (
        lambda: png(4, 4, png_chunk(b"iCCP", b"a\0\0" + deflated(100 << 20)), pixels(4, 4)),
        LOAD,
    ),
    "PNG with 100,000 chunks": (lambda: png(4, 4, png_chunk(b"tEXt", b"a\0b") * 100_000, pixels(4, 4)), None),
    "PNG with a chunk of 4 GiB": (lambda: PNG + b"\xff\xff\xff\xffIHDR" + bytes(100), LOAD),
    "PNG, interlaced, with too few pixels": (lambda: png(1000, 1000, pixels(9, 9), interlaced=1), LOAD),
    "PNG with palette and no palette": (lambda: png(8, 8, pixels(8, 8, 1), colour=3), LOAD),
    "APNG of 50 frames": (lambda: saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), None),
    "APNG that claims 2^31 frames": (
        lambda: png(4, 4, png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), pixels(4, 4)),
        None,
    ),
    "GIF that claims 65,535 x 65,535": (lambda: gif(65_535, 65_535, gif_frame(10, 10)), LARGE),
    "GIF of no size": (lambda: gif(0, 0, gif_frame(0, 0)), LOAD),
    "GIF whose frame is larger than its canvas": (lambda: gif(10, 10, gif_frame(65_535, 65_535)), LARGE),
    "GIF of 8 MiB of comments": (lambda: gif(10, 10, b"!\xfe" + b"\xff" + b"a" * 255 + b"\0"), LOAD),
    "GIF of 100,000 broken frames": (lambda: gif(10, 10, gif_frame(10, 10) * 100_000), LOAD),
    "GIF without frames": (lambda: gif(10, 10), LOAD),
    "GIF with broken LZW": (
        lambda: gif(100, 100, gif_frame(100, 100, BROKEN_LZW)),
        LOAD,
    ),
    "GIF of 50 frames, cut off after the first": (
        lambda: saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:])[:100],
        None,
    ),
    "WebP of 8192 x 8192 pixels": (lambda: riff(vp8l(8192, 8192)), LARGE),
    "WebP whose canvas claims 2^24 pixels a side": (lambda: riff(vp8x(2**24, 2**24), vp8l(10, 10)), LARGE),
    "WebP whose canvas is larger than its frame": (lambda: riff(vp8x(8000, 6000), WEBP[12:]), LOAD),
    "WebP, lossless, that claims 16,384 x 16,384": (lambda: riff(vp8l(16_384, 16_384)), LARGE),
    "WebP of 4 GiB": (lambda: riff(WEBP[12:], size=2**32 - 2), LOAD),
    "WebP, animated, without frames": (lambda: riff(vp8x(64, 48, 2), riff_chunk(b"ANIM", bytes(6))), LOAD),
    "WebP of 50 frames": (lambda: saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), None),
    "AVIF that claims 65,536 x 65,536": (lambda: avif_that_claims(65_536, 65_536), LOAD),
    "AVIF that claims 8000 x 6000": (
        lambda: with_size(AVIF, b"ispe", 8, struct.pack(">II", 8000, 6000)),
        None,
    ),
    "AVIF with a box of 4 GiB": (lambda: AVIF[:32] + b"\xff\xff\xff\xff" + AVIF[36:], LOAD),
    "AVIF that ends after its brand": (lambda: AVIF[:32], LOAD),
    "AVIF of 50 frames": (lambda: saved(FRAMES[0], "AVIF", save_all=True, append_images=FRAMES[1:]), None),
    "JPEG that claims 65,535 x 65,535": (lambda: jpeg_that_claims(65_535, 65_535), LARGE),
    "JPEG that claims 8000 x 6000": (
        lambda: with_size(JPEG, b"\xff\xc2", 5, struct.pack(">HH", 6000, 8000)),
        None,
    ),
    "JPEG of 100,000 scans": (lambda: JPEG[:-2] + LAST_SCAN[:50] * 100_000 + JPEG[-2:], LOAD),
    "JPEG whose EXIF refers to itself": (
        lambda: JPEG[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(EXIF_LOOP)) + EXIF_LOOP + JPEG[2:],
        None,
    ),
    "JPEG of 8 MiB of comments": (
        lambda: JPEG[:2] + (b"\xff\xfe\xff\xff" + b"c" * 65_533) * 127 + JPEG[2:],
        None,
    ),
    "JPEG without a frame": (lambda: b"\xff\xd8\xff\xd9", LOAD),
    "TIFF that claims 2^32 - 1 pixels a side": (lambda: tiff_of(2**32 - 1, 2**32 - 1), LARGE),
    "TIFF that claims 60,000 x 60,000": (lambda: tiff_of(60_000, 60_000), LARGE),
    "TIFF whose directory follows itself": (lambda: tiff([tiff_entry(256, 4, 1, 9)], 8), LOAD),
    "TIFF of 65,535 tags of 4 GiB": (
        lambda: tiff([tiff_entry(n, 2, 2**32 - 1, 8) for n in range(65_535)]),
        LOAD,
    ),
    "BMP that claims 2^31 - 1 pixels a side": (lambda: bmp(2**31 - 1, 2**31 - 1), LARGE),
    "BMP that claims 60,000 x 60,000": (lambda: bmp(60_000, 60_000), LARGE),
    "ICO of 65,535 images": (lambda: ico(65_535, png(4, 4, pixels(4, 4))), UNSUPPORTED),
    "ICO with a PNG of 60,000 x 60,000": (lambda: ico(1, png(60_000, 60_000)), LARGE),
    "PSD that claims 300,000 x 300,000": (
        lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 300_000, 300_000, 8, 3) + bytes(100),
        LARGE,
    ),
    "PPM that claims 60,000 x 60,000": (lambda: b"P6 60000 60000 255\n", LOAD),
    "SVG of a billion laughs": (lambda: BILLION_LAUGHS, LOAD),
    "EPS with a program": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n", LOAD),
    "gzip of 100 MiB": (lambda: b"\x1f\x8b\x08" + bytes(7) + deflated(100 << 20), LOAD),
    "HTML": (lambda: b"<!doctype html><script>fetch('/control/reset')</script>", LOAD),
}
