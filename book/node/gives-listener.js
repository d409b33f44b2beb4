// A Node parent, and a worker of this book: node gives-listener.js PROGRAM
const { fork } = require('node:child_process');
const { constants, readFileSync } = require('node:fs');
const net = require('node:net');

const worker = fork('worker', [], { execPath: process.argv[2], execArgv: [] });
const listener = net.createServer();

// The flags of our own descriptor, as the kernel tells them: proc(5).
function tell(when) {
  const info = readFileSync(`/proc/self/fdinfo/${listener._handle.fd}`, 'utf8');
  const flags = parseInt(/^flags:\s*(\d+)/m.exec(info)[1], 8);
  const isSet = flags & constants.O_NONBLOCK;
  console.log(`${when}: O_NONBLOCK is ${isSet ? 'on' : 'off'}`);
}

listener.listen(0, '127.0.0.1', () => {
  tell('before');
  worker.send('server', listener);
  // The worker sends this back. It reads it after the listener.
  worker.send('do you serve?');
});

worker.on('message', () => {
  tell('after ');
  listener.close();
  worker.disconnect();
});
