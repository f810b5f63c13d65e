"""Clients of fal by others, and fal's own with models of several media, unchanged, through `falmock run`.

litellm has no method that makes or reads sound with fal.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from programs import NODE, PROGRAMS, through_falmock, tool

IMAGE = Path(__file__).parents[3] / "fixtures" / "images" / "hills.png"


# The first twelve bytes of files
JPEG = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
PNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\r"
MP4 = "\x00\x00\x00 ftypisom"
MP3 = "ID3\x04\x00\x00\x00\x00\x00\n\x00\x00"


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_client_of_fal_makes_an_image_a_video_and_a_sound_and_reads_the_sound(language: str) -> None:
    programs = {
        # fal's client leaves connections to the collector
        "python": (sys.executable, "-W", "ignore::ResourceWarning", str(PROGRAMS / "fal_client_media.py")),
        "javascript": ("node", str(NODE / "fal_client_media.mjs")),
    }
    if language == "javascript":
        tool("node")
    ran = through_falmock(*programs[language])

    assert ran.report == {
        "image": JPEG,
        "size": [512, 512],
        "video": MP4,
        "audio": MP3,
        "text": ["chunks", "diarization_segments", "inferred_languages", "text"],
        "words": True,
    }
    assert ran.fals_names == ()


def test_the_ai_sdk_of_vercel_makes_an_image_a_video_and_a_sound_and_reads_the_sound() -> None:
    ran = through_falmock(tool("node"), str(NODE / "ai_sdk.mjs"))

    assert ran.report == {
        "image": [JPEG, "image/jpeg"],
        "size": [512, 384],
        "video": [MP4, "video/mp4"],
        "audio": [MP3, "audio/mpeg"],
        "words": True,
        "seconds": pytest.approx(20 / 15, abs=0.1),  # of 20 characters
    }
    assert ran.fals_names == ()


def test_the_javascript_client_of_hugging_face_makes_an_image_a_video_and_a_sound() -> None:
    ran = through_falmock(tool("node"), str(NODE / "hugging_face.mjs"), str(IMAGE))

    assert ran.report == {"image": JPEG, "video": MP4, "audio": MP3, "words": True}
    assert ran.fals_names == ()


def test_the_python_client_of_hugging_face_makes_images_videos_and_a_sound(tmp_path: Path) -> None:
    program = (sys.executable, str(PROGRAMS / "hugging_face.py"), str(IMAGE))
    ran = through_falmock(*program, HF_HOME=str(tmp_path))

    assert ran.report == {
        "image": [512, 384],
        "edited": "PNG",
        "mask": "mask",
        "video": MP4,
        "video of a text": MP4,
        "audio": MP3,
        "words": True,
    }
    assert ran.fals_names == ()


def test_litellm_makes_images_and_a_video_and_asks_about_an_image() -> None:
    python = Path(sys.executable).parents[1] / "litellm" / "bin" / "python"
    if not python.exists():
        pytest.skip("litellm is not installed: run `make tools`")
    program = (str(python), str(PROGRAMS / "litellm_media.py"), str(IMAGE))
    ran = through_falmock(*program, FAL_AI_API_KEY="me:secret")

    assert ran.report == {
        "images": [JPEG, JPEG],
        "edited": PNG,
        "status": "completed",
        "video": MP4,
        "answer": True,
    }
    assert ran.fals_names == ()


def test_falgen_makes_a_video_and_reads_schema_and_price(tmp_path: Path) -> None:
    ran = through_falmock(sys.executable, str(PROGRAMS / "falgen_tools.py"), HOME=str(tmp_path))

    assert ran.report == {
        "generated": True,
        "refused": True,
        "fields": ["prompt", "image_url", "aspect_ratio", "duration"],
        "price": True,
    }
