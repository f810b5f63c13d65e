"""A web application: its page sends a picture, and the application makes a clip of it with fal."""

from __future__ import annotations

import fal_client
from fastapi import FastAPI, UploadFile
from fastapi.responses import HTMLResponse

app = FastAPI()

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Clips</title>
<form><input type="file" name="picture" accept="image/*"></form>
<video controls muted></video>
<script>
  document.querySelector("input").addEventListener("change", async () => {
    const body = new FormData(document.querySelector("form"));
    const answer = await fetch("/clips", { method: "POST", body });
    document.querySelector("video").src = (await answer.json()).video;
  });
</script>
"""


@app.get("/")
def show_page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.post("/clips")
async def make_clip(picture: UploadFile) -> dict[str, str]:
    image = await fal_client.upload_async(
        await picture.read(), picture.content_type or "image/png", picture.filename
    )
    result = await fal_client.subscribe_async(
        "fal-ai/veo2/image-to-video", {"prompt": "A lego chef cooking eggs", "image_url": image}
    )
    return {"video": result["video"]["url"]}
