// Says so whenever it hears SIGUSR2.
process.on('SIGUSR2', () => console.log('heard SIGUSR2'));
setInterval(() => {}, 1000);
console.log(`process ${process.pid} listens`);
