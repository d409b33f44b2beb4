// Runs a program as a child with a channel, and prints each event as JSON.
const { spawn } = require('node:child_process');

const [program, ...args] = process.argv.slice(2);
const say = (event, more) => console.log(JSON.stringify({ event, ...more }));

// What fork() does, for any program: 'ipc' is the channel.
const child = spawn(program, args, { stdio: ['inherit', 'pipe', 'pipe', 'ipc'] });
child.on('spawn', () => say('spawn', { pid: child.pid }));
child.on('message', (message) => say('message', { message }));
child.on('disconnect', () => say('disconnect'));
child.on('exit', (code, signal) => say('exit', { code, signal }));
child.on('close', (code, signal) => say('close', { code, signal }));
child.on('error', ({ code, message }) => say('error', { code, message }));
// What the child prints goes to standard error.
child.stdout?.pipe(process.stderr);
child.stderr?.pipe(process.stderr);
