// SIGTERM is a request. This program handles it, and decides itself what to do.
process.on('SIGTERM', () => {
  console.log('got SIGTERM: I exit with 1');
  process.exit(1);
});
// It sends the signal to itself. In spite of its name, kill only sends a signal.
process.kill(process.pid, 'SIGTERM');
setInterval(() => {}, 1000);
