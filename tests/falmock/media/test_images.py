from __future__ import annotations

import asyncio
import struct
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from falmock.errors import ModelError
from falmock.media import MAX_BYTES, Decoder, Picture

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
SUPPORTED = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif"]
LOAD_ERROR = (
    "Failed to load the image. Please ensure the image file is not corrupted and is in a supported format."
)


def look(data: bytes, **limits: int) -> Picture:
    return asyncio.run(Decoder(**limits).picture(data, loc=("body", "image_url"), value="the input"))


def refusal(data: bytes) -> dict[str, object]:
    with pytest.raises(ModelError) as caught:
        look(data)
    (entry,) = caught.value.body["detail"]
    return dict(entry)


def refused_as(data: bytes) -> object:
    return refusal(data)["type"]


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def assert_read_or_refused(data: bytes) -> None:
    with suppress(ModelError):
        assert look(data).rgb


def pixel(picture: Picture, x: int, y: int) -> tuple[int, ...]:
    return tuple(picture.rgb[3 * (y * picture.size[0] + x) :][:3])


def close(colour: tuple[int, ...], other: tuple[int, ...], tolerance: int = 6) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(colour, other, strict=True))


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


SMALL = Image.linear_gradient("L").resize((48, 32)).convert("RGB")
SAMPLES = {form: saved(SMALL, form) for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "MPO")}


@pytest.mark.parametrize("form", SAMPLES)
def test_each_supported_format_is_read(form: str) -> None:
    picture = look(SAMPLES[form])
    assert (picture.width, picture.height, picture.size) == (48, 32, (48, 32))
    assert len(picture.rgb) == 48 * 32 * 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_each_mode_of_png_is_read(mode: str) -> None:
    assert look(saved(Image.new(mode, (8, 8)), "PNG")).size == (8, 8)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (16, 16), RED).convert("CMYK")
    assert close(pixel(look(saved(red, "JPEG")), 8, 8), RED)


def test_sixteen_bits_become_eight_without_being_clipped() -> None:
    grey = Image.frombytes("I;16", (2, 1), struct.pack("<2H", 0x8080, 0xFFFF))
    assert look(saved(grey, "PNG")).rgb == bytes([0x80] * 3 + [0xFF] * 3)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_what_is_transparent_becomes_white(form: str) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert close(pixel(look(saved(clear, form)), 8, 8), WHITE)


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_a_transparent_palette_colour_becomes_white(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, *BLUE])
    image.putpixel((1, 0), 1)
    assert look(saved(image, "PNG", transparency=transparency)).rgb == bytes([*WHITE, *BLUE])


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(form: str) -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = saved(first, form, save_all=True, append_images=[second])
    assert close(pixel(look(data), 8, 8), RED)


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (1, (48, 32), (0, 0)),
        (2, (48, 32), (47, 0)),
        (3, (48, 32), (47, 31)),
        (4, (48, 32), (0, 31)),
        (5, (32, 48), (0, 0)),
        (6, (32, 48), (31, 0)),
        (7, (32, 48), (31, 47)),
        (8, (32, 48), (0, 47)),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_the_picture_is_turned_as_the_camera_says(
    form: str, orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = Image.new("RGBA", (48, 32), BLUE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = look(saved(image, form, exif=exif, **({"lossless": True} if form == "WEBP" else {})))
    assert ((picture.width, picture.height), picture.size) == (size, size)
    assert pixel(picture, *corner) == RED


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"garbage", b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\xff\0", b"MM\0*\0"])
def test_a_broken_exif_block_does_not_spoil_the_picture(form: str, exif: bytes) -> None:
    assert look(saved(SMALL, form, exif=b"Exif\0\0" + exif)).size == (48, 32)


def test_a_broken_exif_text_does_not_spoil_the_picture() -> None:
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 8\nno hex")
    assert look(saved(SMALL, "PNG", pnginfo=text)).size == (48, 32)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_picture_is_kept_no_larger_than_needed(form: str) -> None:
    picture = look(saved(Image.new("RGB", (2100, 1400)), form))
    assert ((picture.width, picture.height), picture.size) == ((2100, 1400), (1920, 1280))


def test_a_turned_large_picture_has_the_size_that_one_sees() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = look(saved(Image.new("RGB", (1401, 1400)), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (1400, 1401)


def test_equal_pixels_make_equal_pictures_whatever_the_file() -> None:
    png, webp = look(SAMPLES["PNG"]), look(saved(SMALL, "WEBP", lossless=True))
    assert png == webp
    assert hash(png) == hash(webp)


def test_other_pixels_make_another_picture() -> None:
    assert look(SAMPLES["PNG"]) != look(saved(SMALL.rotate(180), "PNG"))


def test_the_same_pixels_in_other_rows_make_another_picture() -> None:
    assert look(saved(Image.new("RGB", (4, 2)), "PNG")) != look(saved(Image.new("RGB", (2, 4)), "PNG"))


def test_pixels_do_not_flood_a_log() -> None:
    assert len(repr(look(SAMPLES["PNG"]))) < 200


def test_a_file_over_8_mib_is_too_large() -> None:
    assert refusal(SAMPLES["PNG"].ljust(MAX_BYTES + 1)) == {
        "loc": ["body", "image_url"],
        "msg": "File size exceeds the maximum allowed size of 8388608 bytes. Please upload a smaller file.",
        "type": "file_too_large",
        "url": "https://docs.fal.ai/errors#file_too_large",
        "ctx": {"max_size": 8388608},
        "input": "the input",
    }


def test_a_file_of_8_mib_is_read() -> None:
    assert look(SAMPLES["PNG"].ljust(MAX_BYTES)).size == (48, 32)


def test_what_is_no_image_cannot_be_loaded() -> None:
    assert refusal(b"A lego chef cooking eggs") == {
        "loc": ["body", "image_url"],
        "msg": LOAD_ERROR,
        "type": "image_load_error",
        "url": "https://docs.fal.ai/errors#image_load_error",
        "input": "the input",
    }


def test_an_empty_file_cannot_be_loaded() -> None:
    assert refused_as(b"") == "image_load_error"


@pytest.mark.parametrize("form", SAMPLES)
def test_a_truncated_image_cannot_be_loaded(form: str) -> None:
    noise = saved(Image.effect_noise((64, 64), 80).convert("RGB"), form)
    assert refused_as(noise[: len(noise) // 3]) == "image_load_error"


def test_a_corrupt_image_cannot_be_loaded() -> None:
    data = saved(Image.effect_noise((64, 64), 80), "PNG")
    start = data.index(b"IDAT") + 20
    assert refused_as(data[:start] + bytes(40) + data[start + 40 :]) == "image_load_error"


@pytest.mark.parametrize("form", ["BMP", "TIFF", "ICO", "JPEG2000"])
def test_an_image_in_another_format_is_told_the_supported_ones(form: str) -> None:
    assert refusal(saved(SMALL, form)) == {
        "loc": ["body", "image_url"],
        "msg": f"Unsupported image format. Supported formats are {', '.join(SUPPORTED)}.",
        "type": "unsupported_image_format",
        "url": "https://docs.fal.ai/errors#unsupported_image_format",
        "ctx": {"supported_formats": SUPPORTED},
        "input": "the input",
    }


@pytest.mark.parametrize(("width", "height"), [(8193, 1), (1, 8193), (12_000, 12_000), (60_000, 60_000)])
def test_too_many_pixels_are_refused_unseen(width: int, height: int) -> None:
    assert refusal(png_that_claims(width, height)) == {
        "loc": ["body", "image_url"],
        "msg": "Image too large",
        "type": "image_too_large",
        "url": "https://docs.fal.ai/errors#image_too_large",
        "ctx": {"max_height": 8192, "max_width": 8192},
        "input": "the input",
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 8192), (8192, 1)])
def test_the_oddest_shapes_are_read(size: tuple[int, int]) -> None:
    picture = look(saved(Image.new("RGB", size), "PNG"))
    assert (picture.width, picture.height) == size


def test_a_jpeg_of_countless_scans_is_refused_unseen() -> None:
    data = saved(SMALL, "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    assert refused_as(data[:-2] + last_scan * 1000 + data[-2:]) == "image_load_error"


@given(st.binary(max_size=2000))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert_read_or_refused(data)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
@settings(deadline=None, max_examples=200)
def test_any_damage_is_survived(form: str, data: st.DataObject) -> None:
    sample = SAMPLES[form]
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, min(len(sample), start + 40)))
    damaged = sample[:start] + data.draw(st.binary(max_size=40)) + sample[end:]
    assert_read_or_refused(damaged)
