// Leads what Node says to fal's hosts to the emulator. Loaded before the program, by NODE_OPTIONS.
//
// Every TCP connection that Node makes, with TLS or without, by fetch, undici, http, or any library on
// top of them, goes through one method. So that is where the way is changed: nothing above it notices,
// bodies stream and signals abort as ever, and the certificate is checked against fal's name. Fal's
// hosts that are not emulated are led there too: the emulator says no, loudly.
//
// It is required, not imported: worker threads run what NODE_OPTIONS requires, before their own code.

"use strict";

const net = require("node:net");

const doors = process.env.FALMOCK_DOORS ? JSON.parse(process.env.FALMOCK_DOORS) : undefined;
const LOCALHOST = /^(.+\.)?localhost$/;
const LOOPBACK = [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }];

function isFal(host) {
  return doors.fal.some((domain) => host === domain || host.endsWith(`.${domain}`));
}

function isLoopback(name) {
  return net.isIP(name) ? /^(127\.|::1$|::ffff:127\.)/.test(name) : LOCALHOST.test(name);
}

// Finds a name below localhost on this machine: a name server might say otherwise.
function lookup(name, options, callback) {
  const found = LOOPBACK.filter(({ family }) => !options.family || options.family === family);
  if (options.all) callback(null, found);
  else callback(null, found[0].address, found[0].family);
}

// Returns where a connection goes instead, or why it goes nowhere.
function lead({ host = "localhost", port }) {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (isFal(name)) {
    const door = { 80: doors.http, 443: doors.https }[port];
    return door ? { host: doors.host, port: door, lookup: undefined }
      : new Error(`falmock answers for ${name} on ports 80 and 443 only`);
  }
  if (doors.sealed && name !== doors.host && !isLoopback(name)) {
    return new Error(`falmock is sealed and lets nothing out to ${name}`);
  }
  return LOCALHOST.test(name) ? { lookup } : {};
}

if (doors) {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...given) {
    const args = Array.isArray(given[0]) ? given[0] : net._normalizeArgs(given);
    if (args[0].path) return connect.call(this, args); // a socket in the file system
    const way = lead(args[0]);
    if (way instanceof Error) {
      process.nextTick(() => this.destroy(way));
      return this;
    }
    args[0] = { ...args[0], ...way }; // the caller's own options keep fal's name, for the certificate
    return connect.call(this, args);
  };
}
