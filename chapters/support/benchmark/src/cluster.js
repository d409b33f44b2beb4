// The same service with Node's cluster module, as its manual has it: a worker that exits is
// replaced. Run by the benchmark: node cluster.js WORKERS PORT
const cluster = require('node:cluster');
const http = require('node:http');

const [workers, port] = process.argv.slice(2).map(Number);
if (cluster.isPrimary) {
  let ready = 0;
  cluster.on('listening', (worker, address) => {
    ready += 1;
    if (ready === workers) console.log(`listening on http://127.0.0.1:${address.port}`);
  });
  cluster.on('exit', () => cluster.fork());
  for (let number = 0; number < workers; number++) cluster.fork();
} else {
  const body = `handled by child, pid is ${process.pid}\n`;
  const headers = { 'Content-Type': 'text/plain', 'Content-Length': body.length };
  const server = http.createServer((request, response) => {
    response.writeHead(200, headers);
    response.end(body);
  });
  // By default Node closes a connection that is idle for 5 s.
  server.keepAliveTimeout = 60_000;
  server.listen({ port, host: '127.0.0.1', backlog: 4096 });
}
