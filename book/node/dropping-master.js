// A master as one writes it first. It listens, gives the listener to two workers, and replaces a
// worker that says that it will end.
const { fork } = require('node:child_process');
const net = require('node:net');

const workers = new Map();

function startWorker(listener) {
  const worker = fork(`${__dirname}/dropping-worker.js`);
  workers.set(worker.pid, worker);
  console.log(`worker ${worker.pid} started`);
  worker.send('server', listener);
  worker.on('message', (message) => {
    if (message.act === 'suicide') startWorker(listener);
  });
  worker.on('exit', (code, signal) => {
    console.log(`worker ${worker.pid} has ended: ${signal ?? code}`);
    workers.delete(worker.pid);
  });
}

// The master has nothing to do with connections. This handler is here only to tell of them.
const listener = net.createServer(() => console.log('the master has accepted a connection'));
listener.listen(process.env.PORT ?? 1337, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}`);
  startWorker(listener);
  startWorker(listener);
});

process.on('exit', () => {
  for (const worker of workers.values()) worker.kill();
});
