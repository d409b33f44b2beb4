// Kills a child that is blocked in accept(2) and connects at once, until a
// connection is lost: node killed-in-accept.js PROGRAM
const { execFileSync, spawn } = require('node:child_process');
const net = require('node:net');
const { setTimeout: sleep } = require('node:timers/promises');

function childrenOf(pid) {
  const lines = execFileSync('ps', ['-o', 'pid=', '--ppid', pid]);
  return String(lines).trim().split(/\s+/).map(Number);
}

// Starts a server, kills one of its two children, and asks. Resolves to whether an
// answer arrived.
async function round(program) {
  const server = spawn(program, ['127.0.0.1:0']);
  const [line] = await server.stdout.setEncoding('utf8').take(1).toArray();
  const port = Number(/:(\d+)\n/.exec(line)[1]);
  while (childrenOf(server.pid).length < 2) await sleep(10);
  await sleep(30); // until both are blocked in accept

  process.kill(childrenOf(server.pid)[0], 'SIGKILL');
  const client = net.connect(port, '127.0.0.1');
  client.on('error', () => {}); // a reset
  client.write('GET / HTTP/1.0\r\n\r\n');
  let answer = '';
  client.setEncoding('utf8').on('data', (piece) => { answer += piece; });
  await new Promise((resolve) => { client.on('close', resolve); });
  server.kill('SIGKILL');
  return answer.includes('handled');
}

(async () => {
  for (let kills = 1; kills <= 500; kills++) {
    if (await round(process.argv[2])) continue;
    console.log(`~${kills} children were killed before a connection was lost`);
    process.exit();
  }
  process.exit(1);
})();
