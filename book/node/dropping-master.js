// A master as one writes it first: it listens, gives the listener to two workers, and
// replaces a worker that announces its exit.
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
    const how = signal ? `was killed by ${signal}` : `exited with code ${code}`;
    console.log(`worker ${worker.pid} ${how}`);
    workers.delete(worker.pid);
  });
}

// The master has nothing to do with connections. This handler only reports them.
const report = () => console.log('the master accepted a connection');
const listener = net.createServer(report);
listener.listen(process.env.PORT ?? 1337, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}`);
  startWorker(listener);
  startWorker(listener);
});

process.on('exit', () => {
  for (const worker of workers.values()) worker.kill();
});
