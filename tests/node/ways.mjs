// The ways in which a Node program may call fal's hosts, and some that lead astray.
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { createRequire } from "node:module";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import * as undici from "undici";

const SERVED = "https://api.fal.ai/v1/meta";
const REFUSED = "https://gateway.fal.ai/v1/meta";
const report = {};
const get = async (library, url) => {
  const [answer] = await once(library.get(url), "response");
  answer.resume();
  return answer.statusCode;
};

report.fetch = [(await fetch(SERVED)).status, (await fetch(REFUSED)).status];
report.undici = [(await undici.fetch(SERVED)).status, (await undici.request(REFUSED)).statusCode];
report.https = [await get(https, SERVED), await get(https, REFUSED)];
report.http = [await get(http, SERVED.replace("https", "http")), await get(http, REFUSED.replace("https", "http"))];
report.require = (await createRequire(import.meta.url)("undici").fetch(SERVED)).status;

const secure = tls.connect(443, "queue.fal.run", { servername: "queue.fal.run" });
await once(secure, "secureConnect");
report.tls = secure.authorized;
secure.destroy();

const worker = new Worker(`
  fetch("${SERVED}").then((answer) => require("node:worker_threads").parentPort.postMessage(answer.status));
`, { eval: true });
[report.worker] = await once(worker, "message");
await worker.terminate();

const chunks = (async function* () {
  yield '{"prompt": "streamed", ';
  yield '"image_url": "https://example.com/x.png"}';
})();
const submitted = await fetch("https://queue.fal.run/fal-ai/veo2/image-to-video", {
  method: "POST",
  headers: { authorization: "Key me:secret", "content-type": "application/json" },
  body: ReadableStream.from(chunks).pipeThrough(new TextEncoderStream()),
  duplex: "half",
});
const { status_url, response_url } = await submitted.json();
report["streamed request"] = submitted.status;

const headers = { authorization: "Key me:secret" };
const stopping = new AbortController();
const events = await fetch(`${status_url}/stream`, { headers, signal: stopping.signal });
const reader = events.body.getReader();
await reader.read();
stopping.abort();
report.aborted = await reader.read().catch((error) => error.name);
const followed = await (await fetch(`${status_url}/stream`, { headers })).text();
report["streamed answer"] = JSON.parse(followed.trim().split("\n").at(-1).slice("data: ".length)).status;
report.result = (await fetch(response_url, { headers })).status;

report["other port"] = await fetch("https://queue.fal.run:8443/").catch((error) => error.cause.message);

const local = net.createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
await once(local, "listening");
const [greeting] = await once(net.connect(local.address().port, "127.0.0.1"), "data");
report.loopback = String(greeting);
local.close();
console.log(JSON.stringify(report));
