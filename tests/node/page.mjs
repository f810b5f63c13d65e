// Opens a page in headless Chromium: fal's own client, bundled, through the emulator's proxy endpoint.
// Usage: falmock run -- node page.mjs <path of chromium> <folder for the profile>
import { createServer } from "node:http";
import { once } from "node:events";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [executablePath, profile] = process.argv.slice(2);
const emulator = process.env.FALMOCK_URL;

const application = `
  import { fal } from "@fal-ai/client";
  const report = {};
  const canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 36;
  canvas.getContext("2d").fillRect(0, 0, 64, 36);
  const image = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const seen = [];
  fal.config({ proxyUrl: "${emulator}/api/fal/proxy" });
  const result = await fal.subscribe("fal-ai/veo2/image-to-video", {
    input: { prompt: "A lego chef cooking eggs", image_url: image },
    logs: true,
    pollInterval: 50,
    onQueueUpdate: (update) => seen.push(update.status),
  });
  report.states = [...new Set(seen)];
  report.requestId = result.requestId;
  const invalid = await fal.subscribe("fal-ai/veo2/image-to-video", { input: { prompt: "x" } }).catch((e) => e);
  report.invalid = [invalid.name, invalid.status];
  const outside = await fetch("${emulator}/api/fal/proxy", {
    headers: { "x-fal-target-url": "https://api.fal.ai/v1/models" },
  });
  report.outside = [outside.status, await outside.json()];
  report.direct = await fetch("https://gateway.fal.ai/v1").then((answer) => answer.status, (error) => error.name);
  const video = document.querySelector("video");
  video.src = result.data.video.url;
  await video.play();
  await new Promise((resolve) => video.addEventListener("timeupdate", () => video.currentTime > 0.2 && resolve()));
  report.moved = video.currentTime > 0.2;
  report.video = [video.src, video.videoWidth, video.videoHeight, video.duration];
  window.report = report;
`;
const bundle = await build({
  stdin: { contents: application, resolveDir: import.meta.dirname, sourcefile: "application.js" },
  bundle: true,
  format: "esm",
  write: false,
});
const page = `<!doctype html><meta charset="utf-8"><video muted></video><script type="module">${
  bundle.outputFiles[0].text.replaceAll("</script", "<\\/script")
}</script>`;
const server = createServer((request, answer) => {
  answer.setHeader("content-type", "text/html");
  answer.end(page);
}).listen(0, "127.0.0.1");
await once(server, "listening");

const FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: [...FLAGS.split(" "), "--disable-component-update", "--disable-sync"],
});
try {
  const tab = await context.newPage();
  const requested = [];
  tab.on("request", (request) => requested.push(new URL(request.url()).hostname));
  const failed = new Promise((_, reject) => {
    tab.on("pageerror", reject);
    tab.on("console", (message) => message.type() === "error" && console.error(message.text()));
  });
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  await Promise.race([tab.waitForFunction("window.report"), failed]);
  console.log(JSON.stringify({ ...(await tab.evaluate("window.report")), hosts: [...new Set(requested)] }));
} finally {
  await context.close();
  server.close();
  server.closeAllConnections();
}
