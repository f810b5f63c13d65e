from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st
from image_bombs import BOMBS, scans
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from falmock.media import MAX_BYTES, Decoder, Picture, pixels
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.falmock.media.conftest import Children

MIB = 1024 * 1024
SERVER = """
import asyncio, pathlib, resource, sys
from falmock.media import Decoder

def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

async def main():
    data = pathlib.Path(sys.argv[1]).read_bytes()
    before = used()
    await Decoder().picture(data, loc=("body",), value=None)
    print(before, used())

asyncio.run(main())
"""

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
SUPPORTED = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif"]
LOAD_ERROR = (
    "Failed to load the image. Please ensure the image file is not corrupted and is in a supported format."
)


def decoded(data: bytes, **limits: Any) -> Picture:
    return asyncio.run(Decoder(**limits).picture(data, loc=("body", "image_url"), value="the input"))


def refusal(data: bytes, **limits: Any) -> dict[str, object]:
    with pytest.raises(ModelError) as caught:
        decoded(data, **limits)
    (entry,) = caught.value.body["detail"]
    return dict(entry)


def refused_as(data: bytes, **limits: Any) -> object:
    return refusal(data, **limits)["type"]


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def assert_read_or_refused(data: bytes) -> None:
    with suppress(ModelError):
        assert decoded(data).rgb


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
def test_each_supported_format_is_decoded(form: str) -> None:
    picture = decoded(SAMPLES[form])
    assert (picture.width, picture.height, picture.size) == (48, 32, (48, 32))
    assert len(picture.rgb) == 48 * 32 * 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_each_colour_mode_of_png_is_decoded(mode: str) -> None:
    assert decoded(saved(Image.new(mode, (8, 8)), "PNG")).size == (8, 8)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (16, 16), RED).convert("CMYK")
    assert close(pixel(decoded(saved(red, "JPEG")), 8, 8), RED)


def test_sixteen_bit_levels_are_scaled_to_eight_bits() -> None:
    grey = Image.frombytes("I;16", (2, 1), struct.pack("<2H", 0x8080, 0xFFFF))
    assert decoded(saved(grey, "PNG")).rgb == bytes([0x80] * 3 + [0xFF] * 3)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_transparent_pixels_become_white(form: str) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert close(pixel(decoded(saved(clear, form)), 8, 8), WHITE)


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_a_transparent_palette_colour_becomes_white(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, *BLUE])
    image.putpixel((1, 0), 1)
    assert decoded(saved(image, "PNG", transparency=transparency)).rgb == bytes([*WHITE, *BLUE])


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_decoded(form: str) -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = saved(first, form, save_all=True, append_images=[second])
    assert close(pixel(decoded(data), 8, 8), RED)


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
def test_a_picture_is_rotated_by_its_exif_orientation(
    form: str, orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = Image.new("RGBA", (48, 32), BLUE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoded(saved(image, form, exif=exif, **({"lossless": True} if form == "WEBP" else {})))
    assert ((picture.width, picture.height), picture.size) == (size, size)
    assert pixel(picture, *corner) == RED


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"garbage", b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\xff\0", b"MM\0*\0"])
def test_a_picture_with_a_broken_exif_block_is_decoded(form: str, exif: bytes) -> None:
    assert decoded(saved(SMALL, form, exif=b"Exif\0\0" + exif)).size == (48, 32)


def test_a_picture_with_a_broken_exif_text_is_decoded() -> None:
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 8\nno hex")
    assert decoded(saved(SMALL, "PNG", pnginfo=text)).size == (48, 32)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_picture_is_scaled_down(form: str) -> None:
    picture = decoded(saved(Image.new("RGB", (2100, 1400)), form))
    assert ((picture.width, picture.height), picture.size) == ((2100, 1400), (1920, 1280))


def test_a_large_rotated_picture_has_its_size_after_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decoded(saved(Image.new("RGB", (1401, 1400)), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (1400, 1401)


def test_files_with_equal_pixels_make_equal_pictures() -> None:
    png, webp = decoded(SAMPLES["PNG"]), decoded(saved(SMALL, "WEBP", lossless=True))
    assert png == webp
    assert hash(png) == hash(webp)


def test_different_pixels_make_different_pictures() -> None:
    assert decoded(SAMPLES["PNG"]) != decoded(saved(SMALL.rotate(180), "PNG"))


def test_equal_bytes_in_another_size_make_different_pictures() -> None:
    assert decoded(saved(Image.new("RGB", (4, 2)), "PNG")) != decoded(saved(Image.new("RGB", (2, 4)), "PNG"))


def test_the_repr_of_a_picture_has_no_pixels() -> None:
    assert len(repr(decoded(SAMPLES["PNG"]))) < 200


def test_a_file_of_more_than_8_mib_is_refused() -> None:
    assert refusal(SAMPLES["PNG"].ljust(MAX_BYTES + 1)) == {
        "loc": ["body", "image_url"],
        "msg": "File size exceeds the maximum allowed size of 8388608 bytes. Please upload a smaller file.",
        "type": "file_too_large",
        "url": "https://docs.fal.ai/errors#file_too_large",
        "ctx": {"max_size": 8388608},
        "input": "the input",
    }


def test_a_file_of_8_mib_is_decoded() -> None:
    assert decoded(SAMPLES["PNG"].ljust(MAX_BYTES)).size == (48, 32)


def test_a_file_that_is_not_an_image_is_refused() -> None:
    assert refusal(b"A lego chef cooking eggs") == {
        "loc": ["body", "image_url"],
        "msg": LOAD_ERROR,
        "type": "image_load_error",
        "url": "https://docs.fal.ai/errors#image_load_error",
        "input": "the input",
    }


def test_an_empty_file_is_refused() -> None:
    assert refused_as(b"") == "image_load_error"


@pytest.mark.parametrize("form", SAMPLES)
def test_a_truncated_image_is_refused(form: str) -> None:
    noise = saved(Image.effect_noise((64, 64), 80).convert("RGB"), form)
    assert refused_as(noise[: len(noise) // 3]) == "image_load_error"


def test_a_corrupt_image_is_refused() -> None:
    data = saved(Image.effect_noise((64, 64), 80), "PNG")
    start = data.index(b"IDAT") + 20
    assert refused_as(data[:start] + bytes(40) + data[start + 40 :]) == "image_load_error"


def branded(*brands: bytes) -> bytes:
    """Return a file of which only the first box can be read: the brands of its format."""
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return (4 + len(box)).to_bytes(4) + box + bytes(100)


OTHER_FORMATS = {
    **{form: saved(SMALL, form) for form in ("BMP", "TIFF", "ICO", "JPEG2000")},
    "HEIC of an iPhone": branded(b"heic", b"mif1", b"MiHB", b"heic"),
    "HEIC of ten bits": branded(b"heix", b"mif1"),
    "sequence of HEIC": branded(b"hevc", b"msf1", b"hevc"),
    "HEIF with a general brand": branded(b"mif1", b"heic"),
    "HEIF without other brands": branded(b"mif1"),
}


@pytest.mark.parametrize("form", OTHER_FORMATS)
def test_the_error_for_another_format_names_the_supported_formats(form: str) -> None:
    assert refusal(OTHER_FORMATS[form]) == {
        "loc": ["body", "image_url"],
        "msg": f"Unsupported image format. Supported formats are {', '.join(SUPPORTED)}.",
        "type": "unsupported_image_format",
        "url": "https://docs.fal.ai/errors#unsupported_image_format",
        "ctx": {"supported_formats": SUPPORTED},
        "input": "the input",
    }


@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_an_avif_with_a_general_brand_is_not_taken_for_heif(brand: bytes) -> None:
    assert SAMPLES["AVIF"][4:12] == b"ftypavif"
    assert decoded(SAMPLES["AVIF"].replace(b"avif", brand, 1)).size == (48, 32)
    assert refused_as(branded(brand, b"avif")) == "image_load_error"


def test_brands_behind_the_first_box_do_not_count() -> None:
    assert refused_as(branded(b"mif1") + b"avif") == "unsupported_image_format"
    assert refused_as(b"\0\0\0\x10ftypisom\0\0\0\0heic") == "image_load_error"


@pytest.mark.parametrize(("width", "height"), [(8193, 1), (1, 8193), (12_000, 12_000), (60_000, 60_000)])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    assert refusal(png_that_claims(width, height)) == {
        "loc": ["body", "image_url"],
        "msg": "Image too large",
        "type": "image_too_large",
        "url": "https://docs.fal.ai/errors#image_too_large",
        "ctx": {"max_height": 8192, "max_width": 8192},
        "input": "the input",
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 8192), (8192, 1)])
def test_images_with_extreme_ratios_are_decoded(size: tuple[int, int]) -> None:
    picture = decoded(saved(Image.new("RGB", size), "PNG"))
    assert (picture.width, picture.height) == size


def test_a_jpeg_with_too_many_scans_is_refused_before_it_is_decoded() -> None:
    data = saved(SMALL, "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    assert refused_as(data[:-2] + last_scan * 1000 + data[-2:]) == "image_load_error"


@given(st.binary(max_size=2000))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    assert_read_or_refused(data)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
@examples(200)
def test_a_damaged_image_is_decoded_or_refused(form: str, data: st.DataObject) -> None:
    sample = SAMPLES[form]
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, min(len(sample), start + 40)))
    damaged = sample[:start] + data.draw(st.binary(max_size=40)) + sample[end:]
    assert_read_or_refused(damaged)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_decompression_bomb_is_decoded_or_refused(bomb: str) -> None:
    make, error_type = BOMBS[bomb]
    data = make()
    assert len(data) < MAX_BYTES + 1
    if error_type is None:
        assert decoded(data).rgb
    else:
        assert refused_as(data) == error_type


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_the_setting_limits_the_pixels_of_an_image(form: str) -> None:
    assert decoded(saved(Image.new("RGB", (40, 25)), form), max_pixels=1000).size == (40, 25)
    assert refused_as(saved(Image.new("RGB", (7, 143)), form), max_pixels=1000) == "image_too_large"


@pytest.mark.parametrize(("height", "error_type"), [(6103, "image_load_error"), (6104, "image_too_large")])
def test_the_default_limit_is_50_million_pixels(height: int, error_type: str) -> None:
    assert refused_as(png_that_claims(8192, height)) == error_type  # the smaller one has no pixel data


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_a_large_image_decodes_to_the_same_pixels_in_a_process_as_in_a_thread(form: str) -> None:
    image = Image.linear_gradient("L").resize((1921, 1080)).convert("RGB")
    data = saved(image, form)
    here = pixels.decode(data, 10_000_000)
    picture = decoded(data)
    assert (picture.width, picture.height, picture.size, picture.rgb) == (1921, 1080, here.size, here.rgb)


def test_an_image_that_needs_more_memory_than_the_limit_is_refused() -> None:
    data = saved(Image.new("RGBA", (4000, 4000)), "PNG")
    assert decoded(data, memory=512 * MIB).width == 4000
    if sys.platform == "linux":  # macOS has no such limit
        assert refused_as(data, memory=128 * MIB) == "image_too_large"


def test_an_image_that_takes_too_long_is_refused() -> None:
    assert refused_as(scans(190), seconds=0.2) == "image_load_error"


def test_a_decompression_bomb_does_not_use_memory_of_the_server(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.webp"
    bomb.write_bytes(saved(Image.new("RGB", (4000, 4000)), "WEBP", method=0))
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(bomb)], capture_output=True, check=True, text=True
    )
    before, after = map(int, done.stdout.split())
    assert after - before < 64 * MIB  # decoding it takes four times that


def test_a_cancelled_decoding_leaves_no_process(children: Children) -> None:
    async def scene() -> None:
        decoding = asyncio.create_task(Decoder().picture(scans(190), loc=("body",), value=None))
        while not children():  # noqa: ASYNC110 - the system sends no event
            await asyncio.sleep(0)
        decoding.cancel()
        await asyncio.wait([decoding])
        assert children() == []

    asyncio.run(scene())
