// A master that gives its listener to its workers, and keeps it as well.
const { fork } = require('node:child_process');
const net = require('node:net');

const count = Number(process.argv[2] ?? 2);
// There is no handler: a connection that is accepted here is never read.
const listener = net.createServer();
let ready = 0;

listener.listen(process.env.PORT ?? 1337, '127.0.0.1', () => {
  const { port } = listener.address();
  for (let n = 0; n < count; n++) {
    const worker = fork(`${__dirname}/http-worker.js`);
    worker.send('server', listener);
    worker.on('message', () => {
      ready += 1;
      if (ready === count) console.log(`listening on http://127.0.0.1:${port}`);
    });
  }
});
