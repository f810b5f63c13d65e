"""Google's Veo: `fal-ai/veo2/image-to-video`.

Fields, defaults and enums are from fal's page for the model (PROTOCOL.md 16.1).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from falmock.media import Clip, Picture
from falmock.models.base import File, Model, Price, Tools

LANDSCAPE = (1280, 720)
PORTRAIT = (720, 1280)
FRAMES_PER_SECOND = 24  # not documented for fal; Veo's usual rate

AspectRatio = Literal["auto", "auto_prefer_portrait", "16:9", "9:16"]
Duration = Literal["5s", "6s", "7s", "8s"]


# The docstrings and descriptions of these classes are in the OpenAPI document that the emulator serves.


class ImageToVideoInput(BaseModel):
    """What the page calls Input."""

    prompt: str = Field(description="The text prompt describing how the image should be animated")
    image_url: str = Field(
        description="URL of the input image to animate. Should be 720p or higher resolution."
    )
    aspect_ratio: AspectRatio = Field("auto", description="The aspect ratio of the generated video")
    duration: Duration = Field("5s", description="The duration of the generated video in seconds")


class VideoOutput(BaseModel):
    """What the page calls Output."""

    video: File = Field(description="The generated video")


def frame_size(aspect_ratio: AspectRatio, picture: Picture | None) -> tuple[int, int]:
    """Return width and height. Automatic ratios follow the picture, unless it is square or missing."""
    if aspect_ratio == "16:9":
        return LANDSCAPE
    if aspect_ratio == "9:16":
        return PORTRAIT
    if picture is not None and picture.width != picture.height:
        return LANDSCAPE if picture.width > picture.height else PORTRAIT
    return PORTRAIT if aspect_ratio == "auto_prefer_portrait" else LANDSCAPE


def seconds(duration: Duration) -> int:
    """Return 5 for "5s"."""
    return int(duration.removesuffix("s"))


async def animate(request: ImageToVideoInput, tools: Tools) -> VideoOutput:
    """Animate the picture, or a generated backdrop for one that was not fetched."""
    picture = await tools.picture(request.image_url, loc=("body", "image_url"))
    width, height = frame_size(request.aspect_ratio, picture)
    clip = Clip(
        width=width,
        height=height,
        frames=seconds(request.duration) * FRAMES_PER_SECOND,
        frames_per_second=FRAMES_PER_SECOND,
        prompt=request.prompt,
        model=IMAGE_TO_VIDEO.endpoint,
        picture=picture,
        style=tools.style,
        seed=tools.seed,
    )
    return VideoOutput(video=await tools.video(clip, name="output.mp4"))


IMAGE_TO_VIDEO = Model(
    endpoint="fal-ai/veo2/image-to-video",
    input=ImageToVideoInput,
    output=VideoOutput,
    price=Price(
        unit="seconds",
        usd=0.50,
        source="fal.ai/models/fal-ai/veo2 (the text model): $2.50 for 5 s, then $0.50 a second",
        date="2026",
    ),
    units=lambda request: float(seconds(request.duration)),
    perform=animate,
    logs=(
        (0.05, "Starting video generation"),
        (0.1, "Reading the input image"),
        (0.3, "Generating video: 25%"),
        (0.5, "Generating video: 50%"),
        (0.7, "Generating video: 75%"),
        (0.9, "Uploading the video"),
    ),
)
