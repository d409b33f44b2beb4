// A Node parent in the article's design, with two Rust workers: argv[2] is their program.
// When it hears SIGUSR2 it asks how many connections its children hold, closes the server, and
// says when that is done: for this the children have to answer NODE_SOCKET_*.
const { fork } = require('node:child_process');
const { createServer } = require('node:net');

const options = { execPath: process.argv[2], execArgv: [] };
const children = ['normal', 'special'].map((name) => fork('worker', [name], options));
children.forEach((child) => child.on('exit', (code) => console.log(`exit ${code}`)));

let turn = 0;
const server = createServer({ pauseOnConnect: true });
server.on('connection', (socket) => {
  children[turn].send('socket', socket, { keepOpen: false });
  turn = (turn + 1) % children.length;
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

process.on('SIGUSR2', () => {
  server.getConnections((error, count) => {
    console.log(`connections ${error || count}`);
    server.close(() => {
      console.log('closed');
      children.forEach((child) => child.disconnect());
    });
    console.log('closing');
  });
});
