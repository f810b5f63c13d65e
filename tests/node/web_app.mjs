// Starts a web application and visits it in headless Chromium: chooses a picture and plays the video.
// The application inherits the environment. The browser does not: it knows nothing of an emulator.
// Usage: falmock run -- node web_app.mjs <chromium> <folder for the profile> <picture> <command of the application>
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { chromium } from "playwright-core";

const [executablePath, profile, picture, ...command] = process.argv.slice(2);

const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
probe.close();
const url = `http://127.0.0.1:${port}/`;

const [program, ...parameters] = command.map((word) => word.replace("{port}", port));
const started = performance.now();
const application = spawn(program, parameters, {
  detached: true, // a process group, to end its children too
  env: { ...process.env, PORT: port },
  stdio: ["ignore", "ignore", "inherit"],
});
const ended = once(application, "exit").then(([code]) => {
  throw new Error(`the application ended with ${code}`);
});
async function answers() {
  while (!(await fetch(url).then((answer) => answer.ok, () => false))) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const { PATH, HOME } = process.env;
const FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
let context;
try {
  await Promise.race([answers(), ended]);
  const ready = performance.now();
  context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    env: { PATH, HOME },
    args: [...FLAGS.split(" "), "--disable-component-update", "--disable-sync"],
  });
  const tab = await context.newPage();
  const calls = [];
  tab.on("request", (request) => calls.push([request.method(), request.url()]));
  const failed = new Promise((_, reject) => {
    tab.on("pageerror", reject);
    tab.on("console", (message) => message.type() === "error" && console.error(message.text()));
  });
  await tab.goto(url, { waitUntil: "networkidle" });
  await tab.setInputFiles("input", picture);
  await Promise.race([tab.waitForFunction(() => document.querySelector("video").readyState > 0), failed, ended]);
  const video = await tab.evaluate(async () => {
    const video = document.querySelector("video");
    await video.play();
    await new Promise((resolve) => video.addEventListener("timeupdate", () => video.currentTime > 0.2 && resolve()));
    const { src, duration, videoWidth } = video;
    return { src, duration, videoWidth, played: video.currentTime > 0.2 };
  });
  console.log(JSON.stringify({ url, video, calls, seconds: (ready - started) / 1000 }));
} finally {
  ended.catch(() => {});
  await context?.close();
  process.kill(-application.pid);
}
