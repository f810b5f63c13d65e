// An application of Vercel's AI SDK, with its provider for fal.
import { fal } from "@ai-sdk/fal";
import {
  experimental_generateSpeech as generateSpeech,
  experimental_generateVideo as generateVideo,
  experimental_transcribe as transcribe,
  generateImage,
} from "ai";

const start = (bytes) => Buffer.from(bytes).subarray(0, 12).toString("latin1");
const report = {};

const { image, providerMetadata } = await generateImage({
  model: fal.image("fal-ai/flux/schnell"),
  prompt: "A red fox",
  size: "512x384",
});
report.image = [start(image.uint8Array), image.mediaType];
report.size = ["width", "height"].map((side) => providerMetadata.fal.images[0][side]);

const { video } = await generateVideo({
  model: fal.video("veo2/image-to-video"),
  prompt: { text: "A lego chef cooking eggs", image: "https://example.com/chef.png" },
  providerOptions: { fal: { pollIntervalMs: 50 } },
});
report.video = [start(video.uint8Array), video.mediaType];

const { audio } = await generateSpeech({ model: fal.speech("fal-ai/minimax/speech-02-hd"), text: "Foxes sleep at noon." });
report.audio = [start(audio.uint8Array), audio.mediaType];

const heard = await transcribe({ model: fal.transcription("whisper"), audio: audio.uint8Array });
report.words = heard.text.length > 0;
report.seconds = heard.durationInSeconds;
console.log(JSON.stringify(report));
