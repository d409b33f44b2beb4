// A plain worker, which takes 0.3 s for a response. It knows of no signal, and
// `/disconnect` makes it close its channel.
const http = require('http');

process.on('message', (message, listener) => {
  if (message !== 'server') return;
  const server = http.createServer((request, response) => {
    if (request.url === '/disconnect') process.disconnect();
    setTimeout(() => response.end('handled by child, pid is ' + process.pid + '\n'), 300);
  });
  server.listen(listener);
});
