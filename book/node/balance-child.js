// Answers the connections that it is given.
process.on('message', (message, socket) => {
  if (message !== 'socket' || !socket) return; // The client may be gone by now.
  socket.end(`Request handled with ${process.argv[2]} priority, running on ${process.pid}`);
});
