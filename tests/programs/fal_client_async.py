"""An asynchronous application of fal's own Python client, with nothing in it that knows of an emulator."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import fal_client

ENDPOINT = "fal-ai/veo2/image-to-video"


async def main() -> dict[str, object]:
    report: dict[str, object] = {}
    good = {"prompt": "A lego chef", "image_url": await fal_client.upload_file_async(Path(sys.argv[1]))}
    states: list[object] = []
    result = await fal_client.subscribe_async(ENDPOINT, good, with_logs=True, on_queue_update=states.append)
    report["states"] = list(dict.fromkeys(type(state).__name__ for state in states))
    report["video"] = result["video"]["url"]

    handle = await fal_client.submit_async(ENDPOINT, good)
    report["status"] = type(await handle.status()).__name__
    events = [event async for event in handle.iter_events(with_logs=True)]
    report["events"] = type(events[-1]).__name__
    report["result"] = sorted(await handle.get())

    cancelled = await fal_client.submit_async(ENDPOINT, good)
    await cancelled.cancel()
    try:
        await cancelled.get()
    except fal_client.FalClientHTTPError as caught:
        report["cancelled"] = [caught.status_code, type(caught).__name__]
    try:
        await fal_client.subscribe_async(ENDPOINT, {})
    except fal_client.FalClientHTTPError as caught:
        errors: Any = caught.message
        report["invalid"] = [caught.status_code, errors[0]["loc"]]
    return report


print(json.dumps(asyncio.run(main())))
