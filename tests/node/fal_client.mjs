// An application of fal's own JavaScript client, with nothing in it that knows of an emulator.
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { ApiError, ValidationError, createFalClient, fal } from "@fal-ai/client";

const ENDPOINT = "fal-ai/veo2/image-to-video";
const report = {};
const image = new Blob([await readFile(process.argv[2])], { type: "image/png" });
const states = (list) => [...new Set(list.map((update) => update.status))];

const polled = [];
const result = await fal.subscribe(ENDPOINT, {
  input: { prompt: "A lego chef cooking eggs", image_url: image },
  logs: true,
  pollInterval: 50,
  onQueueUpdate: (update) => polled.push(update),
});
report.polling = states(polled);
report.video = result.data.video.url;
report.requestId = /^[0-9a-f-]{36}$/.test(result.requestId);
const clip = Buffer.from(await (await fetch(result.data.video.url)).arrayBuffer());
report["video is an mp4"] = clip.subarray(4, 8).toString() === "ftyp";

const good = { prompt: "A lego chef", image_url: await fal.storage.upload(image) };
report.uploaded = (await (await fetch(good.image_url)).blob()).size === image.size;

const streamed = [];
const followed = await fal.subscribe(ENDPOINT, {
  input: good,
  mode: "streaming",
  logs: true,
  onQueueUpdate: (update) => streamed.push(update),
});
report.streaming = states(streamed);
report["streamed result"] = Object.keys(followed.data);

const submitted = await fal.queue.submit(ENDPOINT, { input: good });
const requestId = submitted.request_id;
report.status = (await fal.queue.status(ENDPOINT, { requestId, logs: true })).status;
await fal.queue.subscribeToStatus(ENDPOINT, { requestId, pollInterval: 50 });
report.result = Object.keys((await fal.queue.result(ENDPOINT, { requestId })).data);

const given_up = await fal.queue.submit(ENDPOINT, { input: good });
await fal.queue.cancel(ENDPOINT, { requestId: given_up.request_id });
report.cancelled = await fal.queue.result(ENDPOINT, { requestId: given_up.request_id }).catch((error) => error.status);

report.run = Object.keys((await fal.run(ENDPOINT, { input: good })).data);

const invalid = await fal.subscribe(ENDPOINT, { input: { ...good, duration: "4s" }, pollInterval: 50 }).catch((e) => e);
report.ValidationError = [invalid instanceof ValidationError, invalid.status, invalid.fieldErrors[0].loc];

const other = createFalClient({ credentials: "me:wrong" });
const denied = await other.queue.submit(ENDPOINT, { input: good }).catch((error) => error);
report.ApiError = [denied instanceof ApiError, denied.status, denied.body.detail];

const receiver = createServer().listen(0, "127.0.0.1");
await once(receiver, "listening");
const webhookUrl = `http://127.0.0.1:${receiver.address().port}/hook`;
const { request_id } = await fal.queue.submit(ENDPOINT, { input: good, webhookUrl });
const [hook, answer] = await once(receiver, "request");
const body = JSON.parse(Buffer.concat(await hook.toArray()));
answer.end();
receiver.close();
receiver.closeAllConnections();
report.webhook = [body.status, body.request_id === request_id, "x-fal-webhook-signature" in hook.headers];

console.log(JSON.stringify(report));
