import { fal } from "@fal-ai/client";

fal.config({ proxyUrl: "/api/fal/proxy" });

document.querySelector("input").addEventListener("change", async ({ target }) => {
  const { data } = await fal.subscribe("fal-ai/veo2/image-to-video", {
    input: { prompt: "A lego chef cooking eggs", image_url: await fal.storage.upload(target.files[0]) },
  });
  document.querySelector("video").src = data.video.url;
});
