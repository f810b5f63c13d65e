"""An application of fal's own Python client that makes an image, a video and a sound, and reads the sound."""

from __future__ import annotations

import json
from typing import Any

import fal_client
import httpx

report: dict[str, object] = {}


def start(file: Any) -> str:
    """Return the first bytes of a file of a result."""
    return httpx.get(file["url"]).content[:12].decode("latin-1")


image = fal_client.subscribe("fal-ai/flux/schnell", {"prompt": "A red fox", "image_size": "square"})
report["image"] = start(image["images"][0])
report["size"] = [image["images"][0][side] for side in ("width", "height")]

video = fal_client.run("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", {"prompt": "A red fox"})
report["video"] = start(video["video"])

speech = fal_client.subscribe("fal-ai/minimax/speech-02-hd", {"text": "Foxes sleep at noon."})
report["audio"] = start(speech["audio"])

heard = fal_client.subscribe("fal-ai/whisper", {"audio_url": speech["audio"]["url"]})
report["text"] = sorted(heard)
report["words"] = bool(heard["text"])
print(json.dumps(report))
