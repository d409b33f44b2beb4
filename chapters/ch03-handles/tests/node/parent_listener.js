// Sends its listener, which Node has made O_NONBLOCK, closes its own, and asks.
(async () => {
  const listener = net.createServer(() => fail('the parent has accepted'));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  child.send('server', listener);
  // Node sends nothing after a handle until it is acknowledged. So this answer says "ready".
  child.send('are you ready?');
  assert.strictEqual(await next(), 'are you ready?');
  listener.close();
  for (let n = 0; n < 50; n++) {
    const request = http.get({ port, agent: false });
    const [response] = await once(request, 'response');
    assert.strictEqual(response.statusCode, 200);
    assert.strictEqual(await readAll(response), `handled by child, pid is ${child.pid}\n`);
  }
  await end('50 requests answered');
})();
