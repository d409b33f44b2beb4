// A Node parent and its Rust child. What each script below expects is checked with `assert`: the
// first thing that is wrong ends this program with 1.
const assert = require('assert');
const { fork } = require('child_process');
const dgram = require('dgram');
const http = require('http');
const net = require('net');
const once = (emitter, event) => require('events').once(emitter, event);

const fail = (error) => { console.error(error); process.exit(1); };
process.on('unhandledRejection', fail);

const child = fork('worker', [], { execPath: process.argv[2], execArgv: [] });
child.on('error', fail);

// The child's messages, in order.
const inbox = [];
let wake = () => {};
child.on('message', (message) => { inbox.push(message); wake(); });
async function next() {
  while (inbox.length === 0) await new Promise((resolve) => { wake = resolve; });
  return inbox.shift();
}

// Everything that arrives on a socket, up to its end.
async function readAll(socket) {
  let text = '';
  for await (const piece of socket.setEncoding('utf8')) text += piece;
  return text;
}

async function end(text) {
  child.disconnect();
  const [code, signal] = await once(child, 'exit');
  assert.deepStrictEqual([code, signal], [0, null], 'how the child exited');
  console.log(text);
  process.exit(0);
}
