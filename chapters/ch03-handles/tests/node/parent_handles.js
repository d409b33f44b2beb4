// Sends one handle of every type, and reads at its other end.
(async () => {
  async function expect(type, is, handle, read) {
    child.send(type + is, handle);
    const text = await read();
    assert.deepStrictEqual(await next(), { message: type + is, type, is });
    assert.strictEqual(text, `${child.pid} speaks through ${is}\n`);
    console.log(type, is);
  }
  // A connection: the client, and the accepted socket.
  async function connection(address) {
    const server = net.createServer({ pauseOnConnect: true }).listen(address);
    await once(server, 'listening');
    const client = net.connect(server.address().port ?? address);
    const [accepted] = await once(server, 'connection');
    server.close();
    return [client, accepted];
  }
  const readFrom = (address) => () => readAll(net.connect(address));
  const ask = (port) => async () => {
    const client = dgram.createSocket('udp4');
    client.send('hello', port, '127.0.0.1');
    const [answer] = await once(client, 'message');
    client.close();
    return String(answer);
  };
  // A name in the abstract namespace would need no file, but Node 20 has none.
  const path = `${__dirname}/socket`;

  let [client, accepted] = await connection(0);
  await expect('net.Socket', 'a TCP socket', accepted, () => readAll(client));
  [client, accepted] = await connection(path);
  await expect('net.Socket', 'a Unix stream', accepted, () => readAll(client));
  [client, accepted] = await connection(0);
  await expect('net.Native', 'a TCP socket', accepted._handle, () => {
    accepted.destroy();
    return readAll(client);
  });
  [client, accepted] = await connection(path);
  await expect('net.Native', 'a Unix stream', accepted._handle, () => {
    accepted.destroy();
    return readAll(client);
  });

  for (const [address, is] of [[0, 'a TCP listener'], [path, 'a Unix listener']]) {
    const server = net.createServer(() => fail('the parent has accepted')).listen(address);
    await once(server, 'listening');
    const where = server.address().port ?? address;
    child.send('wait', server);
    // Both processes listen until this one closes. Node then removes the socket's file.
    const is_ready = next();
    if (address === 0) {
      await is_ready;
      server.close();
      assert.strictEqual(await readFrom(where)(), `${child.pid} speaks through ${is}\n`);
    } else {
      const { message, type, is: told } = await is_ready;
      assert.deepStrictEqual([message, type, told], ['wait', 'net.Server', is]);
      require('fs').renameSync(path, `${path}2`);
      server.close();
      assert.strictEqual(await readFrom(`${path}2`)(), `${child.pid} speaks through ${is}\n`);
    }
    console.log('net.Server', is);
  }

  for (const type of ['dgram.Socket', 'dgram.Native']) {
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    const state = Object.getOwnPropertySymbols(socket).find((it) => /state/.test(String(it)));
    child.send('wait', type === 'dgram.Socket' ? socket : socket[state].handle);
    const told = await next();
    assert.deepStrictEqual(told, { message: 'wait', type, is: 'a UDP socket' });
    socket.close();
    assert.strictEqual(await ask(port)(), `${child.pid} speaks through a UDP socket\n`);
    console.log(type, 'a UDP socket');
  }
  await end('8 handles');
})();
