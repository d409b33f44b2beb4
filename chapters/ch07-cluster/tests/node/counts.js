// A parent that passes two connections to a worker of ours, and counts them.
const { fork } = require('child_process');
const net = require('net');

const child = fork('worker', [], { execPath: process.argv[2], execArgv: [] });
const server = net.createServer({ pauseOnConnect: true });
const clients = [];
const count = () =>
  new Promise((resolve) => server.getConnections((error, n) => resolve(n)));
const until = async (n) => {
  while ((await count()) !== n) await new Promise((done) => setTimeout(done, 20));
  console.log(`counted ${n}`);
};

server.on('connection', (socket) => child.send('socket', socket));
server.listen(0, '127.0.0.1', async () => {
  for (let i = 0; i < 2; i += 1) {
    const client = net.connect(server.address().port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    // It has its response, and is kept.
    await new Promise((resolve) => client.once('data', resolve));
    clients.push(client);
  }
  await until(2);
  clients[0].destroy();
  await until(1);
  let closed = false;
  server.close(() => {
    closed = true;
    console.log('closed');
    child.disconnect();
  });
  setTimeout(() => {
    if (!closed) console.log('not closed yet');
    clients[1].destroy();
  }, 100);
});
child.on('exit', (code) => console.log(`exit ${code}`));
