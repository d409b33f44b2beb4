// A Node parent in the design of chapter 2, with two Rust workers: argv[2] is their program.
const { fork } = require('node:child_process');
const { createServer } = require('node:net');

const options = { execPath: process.argv[2], execArgv: [] };
const children = ['normal', 'special'].map((name) => fork('worker', [name], options));

let turn = 0;
const server = createServer({ pauseOnConnect: true });
server.on('connection', (socket) => {
  children[turn].send('socket', socket);
  turn = (turn + 1) % children.length;
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
