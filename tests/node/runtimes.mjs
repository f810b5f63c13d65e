// The ways in which a program of Bun or Deno may call fal's hosts.
import http from "node:http";
import https from "node:https";
import { once } from "node:events";

const SERVED = "https://api.fal.ai/v1/meta";
const REFUSED = "https://gateway.fal.ai/v1/meta";
const report = {};
const get = async (library, url) => {
  const [answer] = await once(library.get(url), "response");
  answer.resume();
  return answer.statusCode;
};

report.fetch = [(await fetch(SERVED)).status, (await fetch(REFUSED)).status];
report.https = [await get(https, SERVED), await get(https, REFUSED)];
report.http = [await get(http, SERVED.replace("https", "http")), await get(http, REFUSED.replace("https", "http"))];

const code = `fetch("${SERVED}").then((answer) => postMessage(answer.status))`;
const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, { type: "module" });
report.worker = await new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data)));
worker.terminate();

console.log(JSON.stringify(report));
