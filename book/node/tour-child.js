// A child on the tour, in Node: it says what has arrived, and speaks through it.
const dgram = require('node:dgram');
const net = require('node:net');

process.on('message', (name, handle) => {
  const [type, is] = look(handle);
  process.send({ message: name, type, is });
  speak(type, handle, `${process.pid} speaks through ${is}\n`);
});

// Node has made an object of it. Its class tells the type, and the class inside it
// the rest.
function look(handle) {
  if (handle instanceof dgram.Socket) return ['dgram.Socket', 'a UDP socket'];
  const inner = (handle._handle ?? handle).constructor.name;
  if (inner === 'UDP') return ['dgram.Native', 'a UDP socket'];
  const family = inner === 'TCP' ? 'TCP' : 'Unix';
  if (handle instanceof net.Server) return ['net.Server', `a ${family} listener`];
  const type = handle instanceof net.Socket ? 'net.Socket' : 'net.Native';
  return [type, family === 'TCP' ? 'a TCP socket' : 'a Unix stream'];
}

function speak(type, handle, sentence) {
  if (type === 'net.Socket') {
    handle.end(sentence);
  } else if (type === 'net.Native') {
    new net.Socket({ handle }).end(sentence);
  } else if (type === 'net.Server') {
    handle.on('connection', (socket) => socket.end(sentence, () => handle.close()));
  } else {
    answer(type === 'dgram.Socket' ? handle : adopt(handle), sentence);
  }
}

// A bare UDP descriptor: Node lets a socket take it over by its number.
function adopt({ fd }) {
  const socket = dgram.createSocket('udp4');
  return socket.bind({ fd });
}

function answer(socket, sentence) {
  socket.on('message', (question, { port, address }) => {
    socket.send(sentence, port, address, () => socket.close());
  });
}
