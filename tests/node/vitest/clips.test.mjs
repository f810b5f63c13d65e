import { fal } from "@fal-ai/client";
import { afterEach, expect, inject, test } from "vitest";

const falmock = inject("falmock");

// fal's client has fixed URLs: put the emulator's address before each.
fal.config({
  credentials: "test-clips:key",
  fetch: (url, options) => fetch(String(url).replace("https://", `${falmock}/`), options),
});

const control = (path, body) =>
  fetch(`${falmock}/control${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

// The code under test.
const animate = (prompt) =>
  fal.subscribe("fal-ai/veo2/image-to-video", {
    input: { prompt, image_url: "https://example.com/chef.png" },
    pollInterval: 20,
  });

afterEach(() => control("/reset", { test: "clips" }));

test("a clip is made", async () => {
  expect((await animate("A lego chef")).data.video.content_type).toBe("video/mp4");
});

test("a prompt is refused", async () => {
  await expect(animate("A lego chef [[fal: content_policy_violation]]")).rejects.toMatchObject({
    status: 422,
    body: { detail: [{ type: "content_policy_violation" }] },
  });
});

test("an account is locked", async () => {
  await control("/rules", { fault: "locked", test: "clips" });

  await expect(animate("A lego chef")).rejects.toMatchObject({ status: 403 });
});
