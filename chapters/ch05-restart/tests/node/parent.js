// A master in Node. It starts one worker and gives it the listener; SIGUSR2 asks that worker
// to drain. One line of JSON for each thing that happens.
//
// Its own listener is closed once the worker has it: Node accepts on every listener that it
// holds.
const { fork } = require('child_process');
const net = require('net');

const tell = (what) => console.log(JSON.stringify(what));

const server = net.createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const options = { execPath: process.argv[2], execArgv: [] };
  const child = fork('worker', process.argv.slice(3), options);
  child.on('message', (message) => tell({ message }));
  child.on('exit', (code, signal) => tell({ exit: code, signal }));
  process.on('SIGUSR2', () => child.kill('SIGTERM'));
  child.send('server', server, (error) => {
    server.close();
    console.log('worker ' + child.pid + (error ? ' failed: ' + error : ' has it'));
    console.log('listening on http://127.0.0.1:' + port);
  });
});
