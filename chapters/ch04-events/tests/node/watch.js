// What `watch` does, by Node itself: `node watch.js '{"kill":…}' PROGRAM ARG...`
const { spawn } = require('child_process');
const plan = JSON.parse(process.argv[2]);
const [program, ...args] = process.argv.slice(3);
const say = (event, more) => console.log(JSON.stringify({ event, ...more }));

const child = spawn(program, args, { stdio: ['inherit', 'pipe', 'pipe', 'ipc'] });
child.stdout?.pipe(process.stderr);
child.stderr?.pipe(process.stderr);
function act() {
  if (plan.disconnect) child.disconnect();
  if (plan.kill) child.kill(plan.kill);
  plan.disconnect = plan.kill = undefined;
}
child.on('spawn', () => say('spawn', { pid: child.pid }));
child.on('message', (message) => { say('message', { message }); if (!plan.after) act(); });
child.on('disconnect', () => say('disconnect'));
child.on('exit', (code, signal) => say('exit', { code, signal }));
child.on('close', (code, signal) => say('close', { code, signal }));
child.on('error', ({ code, message }) => say('error', { code, message }));
if (plan.after) setTimeout(act, plan.after);
