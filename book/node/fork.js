const { fork } = require('node:child_process');

const child = fork('book/node/echo-child.js');
child.on('message', (message) => {
  console.log('the child says', message);
  child.disconnect();
});
child.on('exit', (code, signal) => console.log('it ended with', code, signal));
child.send({ hello: 'child' });
