// A worker in Node: it answers, throws, sends `suicide`, and exits.
const http = require('http');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.end('handled by child, pid is ' + process.pid + '\n');
  throw new Error('throw exception');
});

let worker;
process.on('message', (message, tcp) => {
  if (message === 'server') {
    worker = tcp;
    worker.on('connection', (socket) => server.emit('connection', socket));
  }
});

process.on('uncaughtException', () => {
  process.send({ act: 'suicide' });
  worker.close(() => process.exit(1));
  setTimeout(() => process.exit(1), 5000);
});
