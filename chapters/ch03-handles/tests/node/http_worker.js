// A worker that serves the listener which its parent sends.
const http = require('http');
process.on('message', (message, listener) => {
  if (message !== 'server') return;
  http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.end(`handled by child, pid is ${process.pid}\n`);
  }).listen(listener);
});
