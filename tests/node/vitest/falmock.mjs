// vitest's globalSetup: an emulator of fal for the whole run, on a port of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";

export default async function ({ provide }) {
  const falmock = spawn("falmock", ["serve", "--ephemeral", "--port", "0", "--media", "plain", "--time-scale", "100"]);
  let told = "";
  for await (const text of falmock.stderr.iterator({ destroyOnReturn: false })) {
    told += text;
    const address = /listening +(http:\S+)/.exec(told)?.[1];
    if (address) {
      provide("falmock", address);
      break;
    }
  }
  falmock.stderr.resume(); // or its log would fill the pipe
  return async () => {
    falmock.kill();
    await once(falmock, "exit");
  };
}
