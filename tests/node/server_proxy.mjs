// A server with fal's own proxy for pages, which may call the emulator, and fal's client as in a page.
import { once } from "node:events";
import { createServer } from "node:http";
import express from "express";
import { createFalClient } from "@fal-ai/client";
import { createHandler, route } from "@fal-ai/server-proxy/express";

const emulator = process.env.FALMOCK_URL;
const application = express().use(express.json());
application.all(route, createHandler({
  allowedUrlPatterns: ["queue.fal.run/**", `${new URL(emulator).host}/**`],
  resolveFalAuth: async () => "Key me:secret",
}));
const server = createServer(application).listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}${route}`;
const report = {};

for (const queue of ["https://queue.fal.run", `${emulator}/queue.fal.run`, emulator]) {
  const fal = createFalClient({
    credentials: "a:page", // a page has no key: the server replaces this
    requestMiddleware: async (request) => {
      const target = request.url.replace("https://queue.fal.run", queue);
      return { ...request, url, headers: { ...request.headers, "x-fal-target-url": target } };
    },
  });
  const states = [];
  const { data } = await fal.subscribe("fal-ai/veo2/image-to-video", {
    input: { prompt: "A lego chef", image_url: "https://example.com/x.png" },
    pollInterval: 50,
    onQueueUpdate: ({ status }) => states.push(status),
  });
  report[queue.replace(emulator, "emulator")] = [[...new Set(states)], Object.keys(data)];
}

const control = { method: "POST", headers: { "x-fal-target-url": `${emulator}/control/reset` } };
report.control = await (await fetch(url, control)).text();
server.close();
server.closeAllConnections();
console.log(JSON.stringify(report));
