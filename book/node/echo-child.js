// A child in Node. It knows nothing of who started it.
process.on('message', (message) => {
  console.log(`node   ${process.pid}: received ${JSON.stringify(message)}`);
  process.send(message);
});
