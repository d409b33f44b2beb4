// A Node child of chapter 2's parent: it is sent sockets, and answers them.
const name = process.argv[2];
process.on('message', (message, socket) => {
  if (message === 'socket' && socket) {
    socket.on('error', () => {});
    socket.end(`Request handled with ${name} priority, running on ${process.pid}`);
  }
});
