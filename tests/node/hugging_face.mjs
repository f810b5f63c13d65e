// An application of Hugging Face's inference client that has fal as its provider.
import { InferenceClient } from "@huggingface/inference";
// Which models a provider has, the client asks Hugging Face; for models that are not registered
// there yet it has this list, to which its own documentation says to add them.
import { HARDCODED_MODEL_INFERENCE_MAPPING as MODELS } from "./node_modules/@huggingface/inference/dist/esm/providers/consts.js";

const model = "google/veo2";
MODELS["fal-ai"][model] = {
  provider: "fal-ai",
  hfModelId: model,
  providerId: "fal-ai/veo2/image-to-video",
  status: "live",
  task: "image-to-video",
};
const alive = setInterval(() => {}, 1000); // the client's own waiting keeps no process alive; a server does
const video = await new InferenceClient(process.env.FAL_KEY).imageToVideo({
  model,
  provider: "fal-ai",
  inputs: new Blob([await (await import("node:fs/promises")).readFile(process.argv[2])], { type: "image/png" }),
  parameters: { prompt: "A lego chef cooking eggs" },
});
clearInterval(alive);
console.log(JSON.stringify({ mp4: Buffer.from(await video.arrayBuffer()).subarray(4, 8).toString() }));
