// What pages of several origins can do to an emulator, in headless Chromium. Every name leads to this machine.
// Usage: node pages.mjs <path of chromium> <folder for the profile> <JSON: emulator, welcome, foreign, picture, documents>
import { chromium } from "playwright-core";

const [executablePath, profile, options] = process.argv.slice(2);
const { emulator, welcome, foreign, picture, documents } = JSON.parse(options);
const LOCAL = ["evil.example", "app.example", "rebound.example"].map((name) => `MAP ${name} 127.0.0.1`);
const RULES = [...LOCAL, "MAP * ~NOTFOUND", "EXCLUDE localhost", "EXCLUDE 127.0.0.1"].join(", ");
// Chromium's own checks of calls to the local network are off: other browsers have none.
const FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: [
    ...FLAGS.split(" "),
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=HttpsUpgrades,LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
    `--host-resolver-rules=${RULES}`,
  ],
});

// Runs in the page. For an answer that cannot be read, the report has the name of the error.
async function attempt({ emulator, picture, reset }) {
  const said = (answer) => answer.status;
  const failed = (error) => error.name;
  const body = JSON.stringify({ prompt: location.hostname, image_url: "https://example.com/x.png" });
  const key = { authorization: "Key me:secret" };
  const endpoint = `${emulator}/fal-ai/veo2/image-to-video`;
  const shown = await new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(image.naturalWidth);
    image.onerror = () => resolve("refused");
    image.src = picture;
  });
  return {
    submit: await fetch(endpoint, { method: "POST", body, headers: key }).then(said, failed),
    blind: await fetch(endpoint, { method: "POST", mode: "no-cors", body }).then(said, failed),
    journal: await fetch(`${emulator}/control/journal`).then(said, failed),
    reset: await fetch(`${emulator}/control/reset`, { method: "POST", mode: "no-cors", body: reset }).then(said, failed),
    health: await fetch(`${emulator}/health`).then(said, failed),
    file: await fetch(picture).then((answer) => answer.blob()).then((blob) => blob.size, failed),
    shown,
  };
}

const report = {};
try {
  const tab = await context.newPage();
  for (const [name, url] of Object.entries(welcome)) {
    await tab.goto(url);
    report[name] = await tab.evaluate(attempt, { emulator, picture, reset: '{"test": "nobody"}' });
  }
  for (const [name, url] of Object.entries(foreign)) {
    await tab.goto(url);
    report[name] = await tab.evaluate(attempt, { emulator, picture, reset: "{}" });
  }
  // A rebound name: its page came from elsewhere, and now the name leads to the emulator.
  const rebound = emulator.replace("127.0.0.1", "rebound.example");
  await tab.route(`${rebound}/page`, (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
  await tab.goto(`${rebound}/page`);
  const there = { emulator: rebound, picture: picture.replace(emulator, rebound), reset: "{}" };
  report.rebound = await tab.evaluate(attempt, there);
  for (const url of documents) await tab.goto(url);
  console.log(JSON.stringify(report));
} finally {
  await context.close();
}
