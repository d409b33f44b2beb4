// Starts five children, and prints how each of them exited.
const { spawn } = require('node:child_process');

for (let number = 1; number <= 5; number++) {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  child.on('exit', (code, signal) => {
    console.log(`child ${number} was killed by ${signal}`);
  });
}
