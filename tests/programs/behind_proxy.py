"""Uploads a picture and makes a clip, and fetches both as a reverse proxy passes calls on."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import fal_client
import httpx

PUBLIC = sys.argv[1]
KEY = {"Authorization": f"Key {os.environ['FAL_KEY']}"}


def passed_on(method: str, url: str, content: bytes = b"") -> httpx.Response:
    """Make a call at the emulator's own address, with the Host of the public one."""
    assert url.startswith(PUBLIC), url
    own = os.environ["FALMOCK_URL"] + url.removeprefix(PUBLIC)
    return httpx.request(method, own, content=content, headers={"Host": urlsplit(url).netloc})


announced = httpx.post(
    "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
    json={"file_name": "hills.png", "content_type": "image/png"},
    headers=KEY,
).json()
uploaded = passed_on("PUT", announced["upload_url"], Path(sys.argv[2]).read_bytes())
handle = fal_client.submit(
    "fal-ai/veo2/image-to-video", {"prompt": "A lego chef", "image_url": announced["file_url"]}
)
video = passed_on("GET", handle.get()["video"]["url"])
print(
    json.dumps(
        {
            "upload": uploaded.status_code,
            "picture": passed_on("GET", announced["file_url"]).status_code,
            "status_url": handle.status_url,
            "video": video.content[4:8].decode(),
        }
    )
)
