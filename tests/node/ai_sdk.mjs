// An application of Vercel's AI SDK, with its provider for fal.
import { fal } from "@ai-sdk/fal";
import { experimental_generateVideo as generateVideo } from "ai";

const { video } = await generateVideo({
  model: fal.video("veo2/image-to-video"),
  prompt: { text: "A lego chef cooking eggs", image: "https://example.com/chef.png" },
  providerOptions: { fal: { pollIntervalMs: 50 } },
});
console.log(JSON.stringify({ mp4: Buffer.from(video.uint8Array).subarray(4, 8).toString(), type: video.mediaType }));
