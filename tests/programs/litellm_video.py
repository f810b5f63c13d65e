"""An application of litellm's videos, in an environment of its own: litellm needs 64 packages."""

from __future__ import annotations

import json
import time

import litellm

PATIENCE = 60  # seconds

submitted = litellm.video_generation(
    model="fal_ai/fal-ai/veo2/image-to-video",
    prompt="A lego chef",
    extra_body={"image_url": "https://example.com/chef.png"},
)
end = time.monotonic() + PATIENCE
while (status := litellm.video_status(video_id=submitted.id).status) not in {"completed", "failed"}:
    assert time.monotonic() < end, status
    time.sleep(0.2)
content = litellm.video_content(video_id=submitted.id)
print(json.dumps({"status": status, "mp4": content[4:8].decode()}))
