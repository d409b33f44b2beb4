// Accepts connections and sends them to two children in turn. It never reads.
const { fork } = require('node:child_process');
const net = require('node:net');

const program = process.argv[2] ?? 'book/node/balance-child.js';
const children = ['normal', 'special'].map((name) => fork(program, [name]));

let accepted = 0;
const server = net.createServer({ pauseOnConnect: true }, (socket) => {
  children[accepted++ % children.length].send('socket', socket);
});
server.listen(process.env.PORT ?? 1337, '127.0.0.1', () => {
  const [normal, special] = children.map((child) => child.pid);
  console.log(`normal is ${normal}\nspecial is ${special}`);
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
