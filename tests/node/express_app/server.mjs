// A web application: its page makes a clip of a picture, and calls fal through the application.
import { fileURLToPath } from "node:url";
import express from "express";
import { createHandler, route } from "@fal-ai/server-proxy/express";

const file = (name) => fileURLToPath(import.meta.resolve(name));
const app = express();
app.all(route, express.json(), createHandler());
app.get("/", (request, response) => response.sendFile(file("./index.html")));
app.get("/page.js", (request, response) => response.sendFile(file("./build/page.js")));
app.listen(process.env.PORT ?? 3000);
