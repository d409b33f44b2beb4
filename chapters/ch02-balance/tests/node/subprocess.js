// A Node child in the article's design: the parent sends it sockets, it answers them.
const name = process.argv[2];
process.on('message', (message, socket) => {
  if (message === 'socket' && socket) {
    socket.on('error', () => {});
    socket.end(`Request handled with ${name} priority, running on ${process.pid}`);
  }
});
