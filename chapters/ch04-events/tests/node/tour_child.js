// The children of the tour, in Node.
switch (process.argv.at(-1)) {
  case 'says-hi':
    process.send('hi', () => process.disconnect());
    break;
  case 'exits-7':
    process.exit(7);
  case 'traps-sigterm':
    process.on('SIGTERM', () => process.exit(1));
    process.on('message', () => {});
    process.send('ready');
    break;
  case 'signals-itself':
    process.kill(process.pid, 'SIGTERM');
    setInterval(() => {}, 1000);
    break;
  case 'disconnects':
    process.exitCode = 3;
    process.disconnect();
    break;
  case 'waits':
    process.on('message', () => {});
    process.send('ready');
    break;
  default:
    process.exit(99);
}
