// A Cloudflare worker that calls fal, in Miniflare. With "outbound" its calls are made by this Node process.
import { Miniflare } from "miniflare";

const worker = `export default {
  async fetch() {
    const key = { authorization: "Key me:secret" };
    const input = JSON.stringify({ prompt: "A lego chef", image_url: "https://example.com/x.png" });
    const body = new Response(input).body; // a stream, as when a worker passes on what it gets
    const url = "https://queue.fal.run/fal-ai/veo2/image-to-video";
    const { status_url } = await (await fetch(url, { method: "POST", headers: key, body })).json();
    return fetch(status_url, { headers: key });
  }
}`;
const outbound = { outboundService: (request) => fetch(request.url, request) };
const miniflare = new Miniflare({
  modules: true,
  script: worker,
  handleRuntimeStdio: (...streams) => streams.forEach((stream) => stream.resume()), // workerd's traces
  ...(process.argv[2] === "outbound" ? outbound : {}),
});
const answer = await miniflare.dispatchFetch("http://worker/").catch((error) => ({ status: 0, error }));
console.log(JSON.stringify({ status: answer.status, state: answer.status === 202 && (await answer.json()).status }));
await miniflare.dispose();
