// Clients that ask without pause: node book/node/load.js CONNECTIONS [CLIENTS] [URL]
// A connection is answered if the whole reply has come, and then the end of the stream.
const net = require('node:net');

const [connections, clients = '16', url = 'http://127.0.0.1:1337'] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const [most, atOnce] = [Number(connections), Number(clients)];
let started = 0;
let answered = 0;

function ask(done) {
  if (started === most) return done();
  started += 1;
  let reply = '';
  let ended = false;
  const socket = net.connect(port, hostname, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('data', (bytes) => (reply += bytes));
  socket.on('end', () => (ended = true));
  socket.on('error', () => {});
  socket.on('close', () => {
    if (ended && /^Request handled with \w+ priority, running on \d+$/.test(reply)) answered += 1;
    ask(done);
  });
}

let atWork = atOnce;
for (let client = 0; client < atOnce; client += 1) {
  ask(() => {
    atWork -= 1;
    if (atWork === 0) console.log(`answered ~${answered} of ${most}, lost ~${most - answered}`);
  });
}
