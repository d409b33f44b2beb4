// Starts five children, and says how each of them ends.
const { spawn } = require('node:child_process');

for (let number = 1; number <= 5; number++) {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  child.on('exit', (code, signal) => console.log(`child ${number} has ended: ${signal}`));
}
