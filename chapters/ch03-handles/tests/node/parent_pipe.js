// Standard output is a pipe here. Node sends it in an envelope for a net.Socket.
(async () => {
  child.send('pipe', process.stdout, { keepOpen: true });
  const expected = { message: 'pipe', type: 'net.Native', is: 'a pipe' };
  assert.deepStrictEqual(await next(), expected);
  await end('a pipe');
})();
