"""Clients of fal by others, unchanged, through `falmock run`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from programs import NODE, PROGRAMS, through_falmock, tool

IMAGE = Path(__file__).parents[3] / "fixtures" / "images" / "hills.png"


def test_the_ai_sdk_of_vercel_makes_a_video() -> None:
    ran = through_falmock(tool("node"), str(NODE / "ai_sdk.mjs"))

    assert (ran.report, ran.fals_names) == ({"mp4": "ftyp", "type": "video/mp4"}, ())


def test_the_javascript_client_of_hugging_face_makes_a_video() -> None:
    ran = through_falmock(tool("node"), str(NODE / "hugging_face.mjs"), str(IMAGE))

    assert (ran.report, ran.fals_names) == ({"mp4": "ftyp"}, ())


def test_the_python_client_of_hugging_face_makes_a_video(tmp_path: Path) -> None:
    program = (sys.executable, str(PROGRAMS / "hugging_face.py"), str(IMAGE))
    ran = through_falmock(*program, HF_HOME=str(tmp_path))

    assert (ran.report, ran.fals_names) == ({"mp4": "ftyp"}, ())


def test_litellm_makes_a_video() -> None:
    python = Path(sys.executable).parents[1] / "litellm" / "bin" / "python"
    if not python.exists():
        pytest.skip("litellm is not installed: run `make tools`")
    ran = through_falmock(str(python), str(PROGRAMS / "litellm_video.py"), FAL_AI_API_KEY="me:secret")

    assert (ran.report, ran.fals_names) == ({"status": "completed", "mp4": "ftyp"}, ())


def test_falgen_makes_a_video_and_reads_schema_and_price(tmp_path: Path) -> None:
    ran = through_falmock(sys.executable, str(PROGRAMS / "falgen_tools.py"), HOME=str(tmp_path))

    assert ran.report == {
        "generated": True,
        "refused": True,
        "fields": ["prompt", "image_url", "aspect_ratio", "duration"],
        "price": True,
    }
