// A worker in Node: it serves the listener that its parent sends.
const http = require('node:http');

process.on('message', (message, listener) => {
  if (message !== 'server') return;
  const server = http.createServer((request, response) => {
    response.end(`handled by child, pid is ${process.pid}\n`);
  });
  server.listen(listener, () => process.send('ready'));
});

// Without this it would outlive its parent, and keep the port.
process.on('disconnect', () => process.exit());
