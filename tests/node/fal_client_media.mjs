// An application of fal's own JavaScript client that makes an image, a video and a sound, and reads the sound.
import { fal } from "@fal-ai/client";

const report = {};
const make = async (endpoint, input) => (await fal.subscribe(endpoint, { input, pollInterval: 50 })).data;
const start = async ({ url }) =>
  Buffer.from(await (await fetch(url)).arrayBuffer()).subarray(0, 12).toString("latin1");

const { images } = await make("fal-ai/flux/schnell", { prompt: "A red fox", image_size: "square" });
report.image = await start(images[0]);
report.size = [images[0].width, images[0].height];

const { video } = await make("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", { prompt: "A red fox" });
report.video = await start(video);

const { audio } = await make("fal-ai/minimax/speech-02-hd", { text: "Foxes sleep at noon." });
report.audio = await start(audio);

const heard = await make("fal-ai/whisper", { audio_url: audio.url });
report.text = Object.keys(heard).sort();
report.words = heard.text.length > 0;
console.log(JSON.stringify(report));
