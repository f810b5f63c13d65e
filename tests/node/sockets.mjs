// A TLS connection that no HTTP library makes.
import tls from "node:tls";
import { once } from "node:events";

const secure = tls.connect(443, "queue.fal.run", { servername: "queue.fal.run" });
await once(secure, "secureConnect");
console.log(JSON.stringify({ authorized: secure.authorized }));
secure.destroy();
