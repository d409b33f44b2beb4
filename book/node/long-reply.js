// Writes a long reply to each client, whatever the client sends.
//   node book/node/long-reply.js close   writes it all to the kernel, and closes
//   node book/node/long-reply.js end     ends its side, and reads to the end
const net = require('node:net');

const reply = Buffer.alloc(1_000_000, 'a long reply ');
const how = process.argv[2];

const server = net.createServer({ pauseOnConnect: true }, (socket) => {
  if (how === 'close') {
    socket.write(reply, () => socket.destroy());
  } else {
    socket.end(reply);
    socket.resume();
  }
});
server.listen(process.env.PORT ?? 1337, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
