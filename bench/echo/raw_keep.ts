// The raw loop on the terms of `recv`: what it has read is its own to keep, so that each read needs memory of its own.

async function echo(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay(true);
  const buffer = new Uint8Array(65_536);
  try {
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      const data = buffer.slice(0, n);
      for (let from = 0; from < n;) from += await conn.write(data.subarray(from));
    }
  } finally {
    conn.close();
  }
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(listener.addr.port);
for await (const conn of listener) echo(conn).catch(() => {});
