// Connects, sends a request and resets the connection: node resets.js ADDRESS
const net = require('node:net');

const [host, port] = process.argv[2].split(':');
const client = net.connect(Number(port), host, () => {
  client.write('GET / HTTP/1.1\r\n\r\n', () => client.resetAndDestroy());
});
client.on('close', () => console.log('connected, and reset'));
