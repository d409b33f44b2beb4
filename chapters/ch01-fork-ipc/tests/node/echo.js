// A Node child: sends every message back, and leaves when it is told to.
process.on('message', (message) => {
  if (message === 'enough') process.disconnect();
  else process.send(message);
});
