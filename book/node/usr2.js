// Prints a line for each SIGUSR2 that it handles.
process.on('SIGUSR2', () => console.log('got SIGUSR2'));
setInterval(() => {}, 1000);
console.log(`process ${process.pid} is ready`);
