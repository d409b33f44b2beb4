// Sends N messages of its own, every second one with a handle, from the very start; answers each
// message that comes with {got, handle, length}, and writes the message into the handle.
const net = require('net');
const N = Number(process.argv[2]);
const text = process.argv[3] === 'big' ? 'é'.repeat(512 * 1024) : undefined;

process.on('message', (message, handle) => {
  const n = message.n ?? message;
  process.send({ got: n, handle: handle !== undefined, length: message.text?.length });
  handle?.end(String(n));
});
process.on('disconnect', () => process.exit(0));

const server = net.createServer().listen(0, '127.0.0.1', () => {
  for (let n = 0; n < N; n++) {
    const message = { n, port: server.address().port, text };
    if (n % 2 === 1) process.send(message, server);
    else process.send(message);
  }
});
