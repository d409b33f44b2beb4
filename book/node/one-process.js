// One process, one port. It answers, and then it fails, as programs do.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.end(`handled by ${process.pid}\n`);
  response.on('close', () => {
    throw new Error('a bug');
  });
});
server.listen(process.env.PORT ?? 1337, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
