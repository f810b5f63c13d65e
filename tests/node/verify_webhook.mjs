// Verifies one delivery in four ways; prints whether each accepts it.
// The argument is JSON: {jwks_url, headers, body}, where `body` is base64.
import { createHash, webcrypto } from "node:crypto";
import { calculateJwkThumbprint, createRemoteJWKSet, importJWK } from "jose";
import sodium from "libsodium-wrappers";

const delivery = JSON.parse(process.argv[2]);
const { keys } = await (await fetch(delivery.jwks_url)).json();
await sodium.ready;

function signed(body) {
  const { headers } = delivery;
  const lines = ["request-id", "user-id", "timestamp"].map((name) => headers[`x-fal-webhook-${name}`]);
  const message = [...lines, createHash("sha256").update(body).digest("hex")].join("\n");
  return [Buffer.from(headers["x-fal-webhook-signature"], "hex"), Buffer.from(message, "utf-8")];
}

const fresh = Math.abs(Date.now() / 1000 - Number(delivery.headers["x-fal-webhook-timestamp"])) <= 300;

// As fal documents it for JavaScript: libsodium, every key of the set.
function documented(body, decode) {
  const [signature, message] = signed(body);
  return fresh && keys.some((key) => sodium.crypto_sign_verify_detached(signature, message, decode(key.x)));
}

const byNode = (x) => Buffer.from(x, "base64url");
const bySodium = (x) => sodium.from_base64(x, sodium.base64_variants.URLSAFE); // throws without padding

async function byJose(body) {
  const [signature, message] = signed(body);
  const published = createRemoteJWKSet(new URL(delivery.jwks_url));
  for (const key of keys) {
    const imported = await importJWK(key, "EdDSA");
    const found = await published({ alg: "EdDSA", kid: key.kid });
    const verdicts = [imported, found].map((each) => webcrypto.subtle.verify("Ed25519", each, signature, message));
    if ((await Promise.all(verdicts)).every(Boolean)) return true;
  }
  return false;
}

const body = Buffer.from(delivery.body, "base64");
const again = Buffer.from(JSON.stringify(JSON.parse(body.toString())));
const report = {};
for (const [name, bytes] of Object.entries({ received: body, serialisedAgain: again })) {
  report[name] = {
    documented: documented(bytes, byNode),
    "libsodium's own base64": documented(bytes, bySodium),
    jose: await byJose(bytes),
  };
}
report.thumbprints = await Promise.all(keys.map((key) => calculateJwkThumbprint(key)));
report.kids = keys.map((key) => key.kid);
console.log(JSON.stringify(report));
