// UTF-8, and a mebibyte with a handle.
(async () => {
  for (const text of ['Grüße, 世界 🦀', 'line\nbreak', '\0 \u2028 \\ "', '', [1, null, 2.5, {}]]) {
    child.send(text);
    assert.deepStrictEqual(await next(), text);
  }
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port);
  const [accepted] = await once(server, 'connection');
  const message = 'é'.repeat(512 * 1024);
  child.send(message, accepted);
  const told = await next();
  assert.ok(told.message === message, 'the message is damaged');
  assert.strictEqual(told.is, 'a TCP socket');
  assert.strictEqual(await readAll(client), `${child.pid} speaks through a TCP socket\n`);
  // Both directions at once: the child sends while unread messages fill its side.
  for (let n = 0; n < 300; n++) child.send({ n, text: 'x'.repeat(10_000) });
  for (let n = 0; n < 300; n++) assert.strictEqual((await next()).n, n);
  server.close();
  await end('whole');
})();
