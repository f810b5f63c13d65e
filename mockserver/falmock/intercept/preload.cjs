// Leads calls of Node programs to fal's hosts to the emulator. Loaded before the program, by NODE_OPTIONS.
//
// Every TCP connection of Node goes through net.Socket.connect, whichever library makes it, with or
// without TLS. This replaces it, so bodies stream, signals abort and TLS checks fal's name as usual.
// Calls to fal hosts that are not emulated are led there too, and the emulator answers with an error.
//
// It is required, not imported: worker threads load what NODE_OPTIONS requires before their own code.

"use strict";

const net = require("node:net");

const server = process.env.FALMOCK_SERVER ? JSON.parse(process.env.FALMOCK_SERVER) : undefined;
const LOCALHOST = /^(.+\.)?localhost$/;
const LOOPBACK = [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }];

function isFal(host) {
  return server.fal.some((domain) => host === domain || host.endsWith(`.${domain}`));
}

function isLoopback(name) {
  return net.isIP(name) ? /^(127\.|::1$|::ffff:127\.)/.test(name) : LOCALHOST.test(name);
}

// Resolves names below localhost to this machine, since a name server might answer otherwise.
function lookup(name, options, callback) {
  const found = LOOPBACK.filter(({ family }) => !options.family || options.family === family);
  if (options.all) callback(null, found);
  else callback(null, found[0].address, found[0].family);
}

// Returns the options to replace, or an Error for a connection that is refused.
function redirect({ host = "localhost", port }) {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (isFal(name)) {
    const ours = { 80: server.http, 443: server.https }[port];
    return ours ? { host: server.host, port: ours, lookup: undefined }
      : new Error(`falmock answers for ${name} on ports 80 and 443 only`);
  }
  if (server.sealed && name !== server.host && !isLoopback(name)) {
    return new Error(`falmock is sealed and lets nothing out to ${name}`);
  }
  return LOCALHOST.test(name) ? { lookup } : {};
}

if (server) {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...given) {
    const args = Array.isArray(given[0]) ? given[0] : net._normalizeArgs(given);
    if (args[0].path) return connect.call(this, args); // a socket in the file system
    const changes = redirect(args[0]);
    if (changes instanceof Error) {
      process.nextTick(() => this.destroy(changes));
      return this;
    }
    args[0] = { ...args[0], ...changes }; // the caller's own object keeps fal's name, for TLS
    return connect.call(this, args);
  };
}
