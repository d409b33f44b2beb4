// A Node child that sends COUNT messages of SIZE bytes at once, while as many come in, and then
// says how many of those were right and in order.
const [count, size] = process.argv.slice(2).map(Number);
let right = 0;
let seen = 0;
process.on('message', ({ n, text }) => {
  if (n === seen && text.length === size) right += 1;
  seen += 1;
  if (seen === count) process.send({ right }, () => process.disconnect());
});
for (let n = 0; n < count; n += 1) process.send({ n, text: 'c'.repeat(size) });
