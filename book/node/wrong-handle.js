// Sends a listener where the child may expect a connection: node wrong-handle.js
// PROGRAM
const { fork } = require('node:child_process');
const net = require('node:net');

const options = { execPath: process.argv[2], execArgv: [] };
const child = fork('worker', ['normal'], options);
child.on('message', (message) => console.log('the child says:', message));

const listener = net.createServer().listen(0, '127.0.0.1', () => {
  const { port } = listener.address();
  child.send('socket', listener);
  listener.close();
  setTimeout(ask, 300, port); // the child has the listener by then
});

function ask(port) {
  const client = net.connect(port, '127.0.0.1');
  client.setEncoding('utf8');
  client.on('data', (text) => console.log('the client reads:', text.trim()));
  client.on('error', ({ code }) => console.log('the client fails:', code));
  client.on('close', () => child.disconnect());
}
