// A client that resets its connection: node book/node/reset.js [URL]
const { connect } = require('node:net');
const { hostname, port } = new URL(process.argv[2] ?? 'http://127.0.0.1:1337');
const socket = connect(port, hostname, () => socket.resetAndDestroy());
