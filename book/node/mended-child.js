// Like balance-child.js, with one more line.
const reply = `Request handled with ${process.argv[2]} priority, running on`;
process.on('message', (message, socket) => {
  if (message !== 'socket' || !socket) return; // The client may be gone by now.
  socket.resume(); // Read what the client sends, and throw it away.
  socket.end(`${reply} ${process.pid}`);
});
