"""An application of fal's own Python client, with nothing in it that knows of an emulator."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fal_client
import httpx

ENDPOINT = "fal-ai/veo2/image-to-video"
report: dict[str, object] = {}


def error(**arguments: str) -> Any:
    try:
        fal_client.subscribe(ENDPOINT, arguments)
    except fal_client.FalClientHTTPError as caught:
        return caught
    raise AssertionError("no error")


image = Path(sys.argv[1])
small = fal_client.upload_file(image)
report["small upload"] = httpx.get(small).content == image.read_bytes()
good = {"prompt": "A lego chef cooking eggs", "image_url": small}

states: list[object] = []
result = fal_client.subscribe(ENDPOINT, good, with_logs=True, on_queue_update=states.append)
report["states"] = list(dict.fromkeys(type(state).__name__ for state in states))
report["video"] = result["video"]["url"]
report["video is an mp4"] = httpx.get(result["video"]["url"]).content[4:8] == b"ftyp"

handle = fal_client.submit(ENDPOINT, good)
report["status_url"] = fal_client.client.QUEUE_URL_FORMAT in handle.status_url
report["status"] = type(handle.status()).__name__
report["events"] = type([*handle.iter_events(with_logs=True)][-1]).__name__
report["result"] = sorted(handle.get())
report["by id"] = sorted(fal_client.result(ENDPOINT, handle.request_id))

cancelled = fal_client.submit(ENDPOINT, good)
cancelled.cancel()
try:
    cancelled.get()
except fal_client.FalClientHTTPError as caught:
    report["cancelled"] = [caught.status_code, type(caught).__name__]

large = Path("large.bin")
with large.open("wb") as sink:
    sink.truncate(101 * 1024 * 1024)
url = fal_client.upload_file(large)
report["multipart upload"] = int(httpx.head(url).headers["content-length"])

invalid = error(prompt="x", image_url=small, duration="4s")
report["invalid"] = [invalid.status_code, invalid.message[0]["loc"]]
print(json.dumps(report))
