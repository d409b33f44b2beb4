// SIGTERM is a request. This program hears it, and decides for itself what to do.
process.on('SIGTERM', () => {
  console.log('asked to end, and so I end, with 1');
  process.exit(1);
});
// What kill(1) does, to itself. The name says more than it does.
process.kill(process.pid, 'SIGTERM');
setInterval(() => {}, 1000);
