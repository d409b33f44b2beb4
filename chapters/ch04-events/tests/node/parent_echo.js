// The Rust child sends every message back, and acknowledges handles.
(async () => {
  for (const text of ['Grüße, 世界 🦀', 'line\nbreak', '\0 \u2028 \\ "', '', { b: 1, a: [null] }]) {
    child.send(text);
    assert.deepStrictEqual(await next(), text);
  }
  const long = 'é'.repeat(512 * 1024);
  child.send(long);
  assert.ok(await next() === long, 'a mebibyte is damaged');

  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port);
  const [accepted] = await once(server, 'connection');
  child.send({ with: 'a handle' }, accepted);
  // Node holds this back until the handle is acknowledged.
  child.send('behind it');
  assert.deepStrictEqual(await next(), { with: 'a handle' });
  assert.strictEqual(await next(), 'behind it');
  assert.strictEqual(await readAll(client), '', 'both copies are closed');

  for (let n = 0; n < 1000; n++) child.send({ n, server: n % 2 }, n % 2 ? server : undefined);
  for (let n = 0; n < 1000; n++) {
    assert.deepStrictEqual(await next(), { n, server: n % 2 });
  }
  server.close();
  await end('all came back');
})();
