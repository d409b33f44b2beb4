// A worker: after each response it has a bug.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.end(`handled by child, pid is ${process.pid}\n`);
  throw new Error('a bug');
});

let listener;
process.on('message', (message, handle) => {
  if (message !== 'server') return;
  listener = handle;
  listener.on('connection', (socket) => server.emit('connection', socket));
});

process.on('uncaughtException', () => {
  const end = () => process.exit(1);
  process.send({ act: 'suicide' });
  listener.close(end);
  setTimeout(end, 5000);
});
