// Answers the connections that it receives.
const reply = `Request handled with ${process.argv[2]} priority, running on`;
process.on('message', (message, socket) => {
  if (message !== 'socket' || !socket) return; // The client may be gone by now.
  socket.end(`${reply} ${process.pid}`);
});
