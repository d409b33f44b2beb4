// A Node parent: forks the Rust worker at argv[2] and prints what comes back, a JSON value a line.
const { fork } = require('node:child_process');
const [worker, words] = process.argv.slice(2);
const [what, number] = words.split(' on ');
const stdio = ['ignore', 'ignore', 'inherit', 'ipc'];
if (number) [stdio[number], stdio[3]] = ['ipc', 'ignore'];
const child = fork('worker', [], { execPath: worker, execArgv: [], stdio });
const print = (value) => console.log(JSON.stringify(value));

const cases = {
  // Whatever may be in a message.
  values: ['h\u00e9llo \u{1f44d} e\u0301 \u0000 \u2028', 7, -0.5, null, true, [[]], { a: { b: '\n' } }],
  // Many, in order.
  many: Array.from({ length: 1000 }, (_, n) => ({ n })),
  // Long.
  long: ['x'.repeat(1 << 20), 'after'],
  // An internal message has more than this prefix.
  cmd: [{ cmd: 'NODE_' }],
  // As fast as they go: both sides send at once.
  flood: Array.from({ length: 2000 }, (_, n) => ({ n, text: 'p'.repeat(2048) })),
};

let seen = 0;
let right = 0;
child.on('message', (message) => {
  if (JSON.stringify(message) === JSON.stringify(cases[what][seen])) right += 1;
  seen += 1;
  if (seen === cases[what].length) child.disconnect();
});
child.on('disconnect', () => print({ event: 'disconnect' }));
child.on('exit', (code, signal) => print({ event: 'exit', code, signal, sent: cases[what].length, right }));
for (const message of cases[what]) child.send(message);
