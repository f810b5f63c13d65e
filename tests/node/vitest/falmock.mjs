// vitest's globalSetup: starts an emulator of fal for the whole run, on a free port.
import { spawn } from "node:child_process";
import { once } from "node:events";

export default async function ({ provide }) {
  const falmock = spawn("falmock", ["serve", "--ephemeral", "--port", "0", "--media", "plain", "--time-scale", "100"]);
  let output = "";
  for await (const text of falmock.stderr.iterator({ destroyOnReturn: false })) {
    output += text;
    const address = /listening +(http:\S+)/.exec(output)?.[1];
    if (address) {
      provide("falmock", address);
      break;
    }
  }
  falmock.stderr.resume(); // keep reading the log, or the pipe fills up
  return async () => {
    falmock.kill();
    await once(falmock, "exit");
  };
}
