// What the Rust worker does on the tour, in Node: says what arrived, and speaks through it.
// `node tour_child.js LIE` does one thing wrong.
const dgram = require('dgram');
const net = require('net');
const lie = process.argv[2];

// What the kernel says, as far as Node tells it: the class that Node has made of the handle.
function look(handle) {
  if (handle instanceof dgram.Socket) return ['dgram.Socket', 'a UDP socket'];
  const bare = handle._handle ?? handle;
  const server = handle instanceof net.Server;
  if (bare.constructor.name === 'UDP') return ['dgram.Native', 'a UDP socket'];
  const tcp = bare.constructor.name === 'TCP';
  if (server) return ['net.Server', tcp ? 'a TCP listener' : 'a Unix listener'];
  const type = handle instanceof net.Socket ? 'net.Socket' : 'net.Native';
  return [type, tcp ? 'a TCP socket' : 'a Unix stream'];
}

function use(handle, type, sentence) {
  if (type === 'net.Socket') return handle.end(sentence);
  if (type === 'net.Native') return new net.Socket({ handle }).end(sentence);
  if (type === 'net.Server') {
    return handle.on('connection', (socket) => { handle.close(); socket.end(sentence); });
  }
  let socket = handle;
  if (type === 'dgram.Native') {
    // Node has no public way to adopt it: Node's own tests do it so.
    socket = dgram.createSocket('udp4');
    socket.bind({ fd: handle.fd });
  }
  socket.on('message', (_, from) => {
    socket.send(sentence, from.port, from.address, () => socket.close());
  });
}

process.on('message', (message, handle) => {
  const [type, is] = look(handle);
  if (lie === 'leaves') return process.exit(0);
  process.send({ message: lie === 'misnames' ? 'something' : message, type, is });
  const speaker = lie === 'is-another' ? 1 : process.pid;
  use(handle, type, `${speaker} speaks through ${is}\n`);
});
if (lie === 'stays') setInterval(() => {}, 1000);
else process.on('disconnect', () => process.exit(lie === 'fails' ? 3 : 0));
