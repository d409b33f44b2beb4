// The design of chapter 2 in Node: a parent that accepts and never reads, and two children in turn.
'use strict';
const { fork } = require('node:child_process');
const net = require('node:net');

const name = process.argv[2];
if (name) {
  process.on('message', (message, socket) => {
    if (message === 'socket' && socket) {
      socket.end(`Request handled with ${name} priority, running on ${process.pid}`);
    }
  });
} else {
  const children = ['normal', 'special'].map((child) => fork(__filename, [child]));
  let turn = 0;
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    children[turn++ % 2].send('socket', socket);
  });
  server.listen(0, '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
}
