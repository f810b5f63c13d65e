// Starts aimock with a queue that takes several polls, and prints its address.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.argv[2] + "/");
const { LLMock } = await import(pathToFileURL(require.resolve("@copilotkit/aimock")));
const peer = new LLMock({
  port: 0,
  host: "127.0.0.1",
  falQueue: { pollsBeforeInProgress: 3, pollsBeforeCompleted: 6 },
});
peer.onFalVideo(/.*/, { video: { url: "https://mock.fal.media/files/generated_video.mp4" } });
console.log(await peer.start());
