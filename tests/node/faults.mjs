// Asks fal's own client to do one thing for each line of standard input, and prints the error that an application gets.
import { createInterface } from "node:readline";
import { fal } from "@fal-ai/client";

const ENDPOINT = "fal-ai/veo2/image-to-video";
const input = { prompt: "A lego chef", image_url: "https://example.com/chef.png" };
let address;

// The client waits between its tries, and here need not wait so long.
const HASTE = 100;
const later = globalThis.setTimeout;
// Its pauses between tries are made by `sleep` in its utils.js; Node's fetch has timers too.
let paused;
globalThis.setTimeout = (work, milliseconds, ...more) => {
  if (/client\/src\/utils\.js/.test(new Error().stack)) paused += milliseconds;
  return later(work, milliseconds / HASTE, ...more);
};
Math.random = () => 0.5; // the mean of its pauses

// Its addresses are built in: put the emulator's before each.
fal.config({
  credentials: "me:secret",
  fetch: (url, options) => fetch(String(url).replace(/^https:\/\//, `${address}/`), options),
});

const ways = {
  run: () => fal.run(ENDPOINT, { input }),
  upload: () => fal.storage.upload(new Blob(["data"], { type: "text/plain" })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  address = task.address;
  paused = 0;
  const options = { input, pollInterval: 100, ...(task.timeout ? { timeout: task.timeout } : {}) };
  let timer;
  const patience = new Promise((resolve) => {
    timer = later(() => resolve({ name: "", text: "still waits" }), task.patience);
  });
  const done = (ways[task.place] ?? (() => fal.subscribe(ENDPOINT, options)))().then(
    () => ({ name: null }),
    (error) => ({ name: error.name, text: `${error.status ?? ""} ${reason(error)}`.trim() }),
  );
  console.log(JSON.stringify({ ...(await Promise.race([done, patience])), paused }));
  clearTimeout(timer);
}
process.exit();

// fal's name of the error, as an application would read it.
function reason(error) {
  const detail = error.body?.detail;
  return error.body?.error_type ?? (Array.isArray(detail) ? detail[0].type : detail) ?? error.cause?.code ?? error.message;
}
