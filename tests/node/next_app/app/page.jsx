"use client";

import { useState } from "react";
import { fal } from "@fal-ai/client";

fal.config({ proxyUrl: "/api/fal/proxy" });

export default function Page() {
  const [video, setVideo] = useState();

  async function makeClip({ target }) {
    const { data } = await fal.subscribe("fal-ai/veo2/image-to-video", {
      input: { prompt: "A lego chef cooking eggs", image_url: await fal.storage.upload(target.files[0]) },
      mode: "streaming",
    });
    setVideo(data.video.url);
  }

  return (
    <>
      <input type="file" accept="image/*" onChange={makeClip} />
      <video controls muted src={video} />
    </>
  );
}
