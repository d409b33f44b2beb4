// A thousand messages, every second one with a connection: the child reports each, in order, and
// speaks through each connection.
(async () => {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const heard = [];
  const accepted = [];
  for (let n = 0; n < 500; n++) {
    heard.push(readAll(net.connect(server.address().port)));
    accepted.push((await once(server, 'connection'))[0]);
  }
  for (let n = 0; n < 1000; n++) {
    if (n % 2 === 1) child.send({ n }, accepted.pop());
    else child.send({ n });
  }
  for (let n = 0; n < 1000; n++) {
    const expected = n % 2 === 0 ? { n }
      : { message: { n }, type: 'net.Socket', is: 'a TCP socket' };
    assert.deepStrictEqual(await next(), expected);
  }
  const sentence = `${child.pid} speaks through a TCP socket\n`;
  for (const text of await Promise.all(heard)) assert.strictEqual(text, sentence);
  server.close();
  await end('1000 in order');
})();
