"""An application of litellm, in a separate environment, because litellm needs 64 packages.

Its `speech` and `transcription` have no provider for fal and raise before they call it, so no sound is made.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import httpx
import litellm

PATIENCE = 60  # seconds
report: dict[str, object] = {}


def start(data: bytes) -> str:
    return data[:12].decode("latin-1")


made = litellm.image_generation(model="fal_ai/fal-ai/flux/schnell", prompt="A red fox", size="1024x768", n=2)
report["images"] = [start(httpx.get(image.url).content) for image in made.data]

with Path(sys.argv[1]).open("rb") as photo:
    edited = litellm.image_edit(model="fal_ai/fal-ai/nano-banana/edit", image=photo, prompt="Add snow")
report["edited"] = start(httpx.get(edited.data[0].url).content)

submitted = litellm.video_generation(
    model="fal_ai/fal-ai/veo2/image-to-video",
    prompt="A lego chef",
    extra_body={"image_url": "https://example.com/chef.png"},
)
end = time.monotonic() + PATIENCE
while (status := litellm.video_status(video_id=submitted.id).status) not in {"completed", "failed"}:
    assert time.monotonic() < end, status
report["status"] = status
report["video"] = start(litellm.video_content(video_id=submitted.id))

answer = litellm.completion(
    model="fal_ai/fal-ai/moondream3-preview/query",
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/chef.png"}},
            ],
        }
    ],
)
report["answer"] = bool(answer.choices[0].message.content)
print(json.dumps(report))
