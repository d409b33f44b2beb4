// A Node child: sends every message back, and disconnects at 'enough'.
process.on('message', (message) => {
  if (message === 'enough') process.disconnect();
  else process.send(message);
});
