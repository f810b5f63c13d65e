// Serves a page that calls fal's hosts itself, with a key in it, and opens it in headless Chromium: with `falmock
// browser`, or with Playwright and the settings of the documentation.
// Usage: falmock run -- node direct_page.mjs <chromium> <folder for the profile> <key and certificate of a TLS server
// that nobody trusts> <falmock's Python | settings.mjs>
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [executablePath, profile, pem, way] = process.argv.slice(2);

const identity = await readFile(pem);
const stranger = createTlsServer({ key: identity, cert: identity }, (request, answer) => answer.end());
await once(stranger.listen(0, "127.0.0.1"), "listening");

const application = `
  import { fal } from "@fal-ai/client";
  fal.config({ credentials: "me:secret", suppressLocalCredentialsWarning: true });
  const report = {};
  try {
    const canvas = document.createElement("canvas");
    canvas.width = 64; canvas.height = 36;
    canvas.getContext("2d").fillRect(0, 0, 64, 36);
    const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const { data } = await fal.subscribe("fal-ai/veo2/image-to-video", {
      input: { prompt: "A lego chef cooking eggs", image_url: await fal.storage.upload(picture) },
      pollInterval: 50,
    });
    const video = document.querySelector("video");
    video.src = data.video.url;
    await new Promise((resolve, reject) => {
      video.addEventListener("loadedmetadata", resolve);
      video.addEventListener("error", () => reject(video.error));
    });
    report.duration = video.duration;
    const stranger = "https://127.0.0.1:${stranger.address().port}/";
    report.stranger = await fetch(stranger, { mode: "no-cors" }).then(() => "trusted", (error) => error.name);
    report.refused = await fetch("https://gateway.fal.ai/v1").then((answer) => answer.status, (error) => error.name);
  } catch (error) {
    report.error = String(error);
  }
  await fetch("/report", { method: "POST", body: JSON.stringify(report) });
`;
const bundle = await build({
  stdin: { contents: application, resolveDir: import.meta.dirname, sourcefile: "application.js" },
  bundle: true,
  format: "esm",
  write: false,
});
const script = bundle.outputFiles[0].text.replaceAll("</script", "<\\/script");
const page = `<!doctype html><meta charset="utf-8"><video muted></video><script type="module">${script}</script>`;

const server = createServer();
await once(server.listen(0, "127.0.0.1"), "listening");
const url = `http://127.0.0.1:${server.address().port}/`;
const reported = new Promise((resolve) => {
  server.on("request", async (request, answer) => {
    if (request.method === "POST") resolve(JSON.parse(Buffer.concat(await request.toArray())));
    answer.setHeader("content-type", "text/html");
    answer.end(request.url === "/" ? page : "");
  });
});

if (way.endsWith(".mjs")) {
  const { default: settings } = await import(way);
  const options = { ...settings.use, executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] };
  const context = await chromium.launchPersistentContext(profile, options);
  try {
    await (await context.newPage()).goto(url);
    console.log(JSON.stringify(await reported));
  } finally {
    await context.close();
  }
} else {
  const flags = ["--headless", "--no-sandbox", "--disable-gpu"];
  const command = ["-m", "falmock", "browser", "--browser", executablePath, url, ...flags];
  const opened = spawn(way, command, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(opened, "exit");
  const report = await Promise.race([reported, ended.then(([code]) => ({ ended: code }))]);
  opened.kill();
  await ended;
  console.log(JSON.stringify(report));
}
for (const each of [server, stranger]) {
  each.close();
  each.closeAllConnections();
}
