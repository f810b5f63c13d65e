// An application of Hugging Face's inference client that has fal as its provider.
import { readFile } from "node:fs/promises";
import { InferenceClient } from "@huggingface/inference";
// Which models a provider has, the client asks Hugging Face; for models that are not registered
// there yet it has this list, to which its own documentation says to add them.
import { HARDCODED_MODEL_INFERENCE_MAPPING as MODELS } from "./node_modules/@huggingface/inference/dist/esm/providers/consts.js";

const provider = "fal-ai";
const register = (task, providerId) => {
  const model = `google/${task}`;
  MODELS[provider][model] = { provider, hfModelId: model, providerId, status: "live", task };
  return model;
};
const start = async (blob) => Buffer.from(await blob.arrayBuffer()).subarray(0, 12).toString("latin1");
const client = new InferenceClient(process.env.FAL_KEY);
const photo = new Blob([await readFile(process.argv[2])], { type: "image/png" });
const report = {};
const alive = setInterval(() => {}, 1000); // the client's own waiting keeps no process alive; a server does

report.image = await start(
  await client.textToImage(
    { provider, model: register("text-to-image", "fal-ai/flux/schnell"), inputs: "A red fox" },
    { outputType: "blob" },
  ),
);
report.video = await start(
  await client.imageToVideo({
    provider,
    model: register("image-to-video", "fal-ai/veo2/image-to-video"),
    inputs: photo,
    parameters: { prompt: "A lego chef cooking eggs" },
  }),
);
const speech = await client.textToSpeech({
  provider,
  model: register("text-to-speech", "fal-ai/minimax/speech-02-hd"),
  inputs: "Foxes sleep at noon.",
});
report.audio = await start(speech);
const heard = await client.automaticSpeechRecognition({
  provider,
  model: register("automatic-speech-recognition", "fal-ai/whisper"),
  inputs: speech,
});
report.words = heard.text.length > 0;
clearInterval(alive);
console.log(JSON.stringify(report));
