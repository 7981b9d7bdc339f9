import { assert, assertEquals } from "@std/assert";
import { Admission } from "../_admission.ts";
import { Client, RuntimeModel } from "./_runtime_model.ts";

const MS = 1000;

/** A host with an echo server, through an admission or without. */
function serve(
  clients: number,
  admitted = true,
): { host: RuntimeModel; admission: Admission; putOff: () => number } {
  const host = new RuntimeModel(clients);
  const admission = new Admission(host);
  const read = (client: Client) => admitted ? admission.request(client) : client.start();
  host.readEnded = (client) => {
    if (admitted) admission.completed(client);
    host.soon(() => client.reply(() => host.soon(() => read(client))));
  };
  for (const client of host.clients) read(client);
  host.run(0);
  return { host, admission, putOff: () => host.clients.filter(({ isPutOff }) => isPutOff).length };
}

/** The fewest and the most replies that a client has got. */
function spread({ clients }: RuntimeModel): [number, number] {
  const replies = clients.map((client) => client.replies);
  return [Math.min(...replies), Math.max(...replies)];
}

Deno.test("a plain loop passes over all but 128 of those that speak at once; with an admission each has its turn", () => {
  for (const clients of [200, 500, 2000]) {
    const plain = serve(clients, false).host;
    plain.allSend();
    plain.run(200 * MS);
    const { host } = serve(clients);
    host.allSend();
    host.run(200 * MS);
    const [least, most] = spread(host);
    assertEquals(spread(plain)[0], 0);
    assert(least > 0 && most - least <= 2, `${clients} clients got from ${least} to ${most} replies`);
  }
});

Deno.test("where all of a turn's reads end in it, each is admitted when it is asked for, however slow the program is", () => {
  for (const turns of [1, 10, 300]) {
    const host = new RuntimeModel(100);
    const admission = new Admission(host);
    let putOff = 0;
    const read = (client: Client) => {
      admission.request(client);
      if (client.isPutOff) putOff++;
    };
    let backlog: Client[] = [];
    host.readEnded = (client) => {
      admission.completed(client);
      backlog.push(client);
    };
    let turn = 0;
    const work = () => {
      if (++turn % turns === 0) {
        for (const client of backlog) client.reply(() => read(client));
        backlog = [];
      }
      if (host.now < 50 * MS) host.later(work);
    };
    for (const client of host.clients) read(client);
    host.allSend();
    host.later(work);
    host.run(50 * MS);
    assertEquals(putOff, 0, `a program that works in every turn of ${turns}`);
    assert(spread(host)[0] > 10);
  }
});

Deno.test("while the program does not come to what has been read, no more than two turns' reads are read for it", () => {
  const { host, admission } = serve(1000);
  host.allSend();
  host.run(30 * MS);
  const backlog: Client[] = [];
  let most = 0;
  host.readEnded = (client) => {
    admission.completed(client);
    backlog.push(client);
    most = Math.max(most, backlog.length);
  };
  let turns = 0;
  const work = () => {
    if (++turns % 50 === 0) {
      for (const client of backlog.splice(0)) client.reply(() => admission.request(client));
    }
    host.later(work);
  };
  host.later(work);
  const before = spread(host)[0];
  host.run(host.now + 200 * MS);
  assert(spread(host)[0] > before);
  assert(most <= 2 * 128, `${most} were read ahead`);
});

Deno.test("where a program works long on many, and ends with one now and then, the others are read meanwhile", () => {
  const { host, admission } = serve(600);
  const read = host.readEnded;
  const quick = host.clients.slice(0, 300);
  const after = new Map(host.clients.slice(300).map((client, i) => [client, 50 * (i + 1)]));
  host.readEnded = (client) => {
    if (!after.has(client)) return read(client);
    admission.completed(client);
    let turns = 0;
    const work = () => {
      if (++turns < after.get(client)!) host.later(work);
      else client.reply(() => admission.request(client));
    };
    host.later(work);
  };
  host.allSend();
  host.run(50 * MS);
  const before = quick.map(({ replies }) => replies);
  host.run(host.now + 50 * MS);
  const since = quick.map(({ replies }, i) => replies - before[i]!);
  assert(Math.min(...since) >= 10 && Math.max(...since) - Math.min(...since) <= 2, `${since}`);
});

Deno.test("when those who speak fall silent, all reads are soon before the host, and no timer is left", () => {
  const { host, putOff } = serve(1000);
  host.allSend();
  host.run(30 * MS);
  assert(putOff() > 0);
  for (const client of host.clients) client.silent = true;
  host.run(host.now + 30 * MS);
  assertEquals(host.clients.filter(({ isReading }) => !isReading).length, 0);
  assertEquals([putOff(), host.hasTimer], [0, false]);
});

Deno.test("one that speaks now and then among many that have fallen silent is heard", () => {
  const { host } = serve(1000);
  host.allSend();
  host.run(30 * MS);
  const [one, ...others] = host.clients;
  for (const client of others) client.silent = true;
  host.run(host.now + 30 * MS);
  const before = one!.replies;
  host.run(host.now + 1 * MS);
  assert(one!.replies - before > 10);
});

Deno.test("a read that is put off is started at once when it must not wait, and once only", () => {
  const { host, admission, putOff } = serve(300);
  host.allSend();
  host.run(20 * MS);
  const started: Client[] = [];
  for (const client of host.clients) {
    const start = client.start.bind(client);
    client.start = () => {
      started.push(client);
      start();
    };
  }
  const waiting = host.clients.filter(({ isPutOff }) => isPutOff);
  assert(waiting.length > 0);
  for (const client of host.clients) {
    client.silent = true;
    admission.leave(client);
  }
  assertEquals(started, waiting);
  assertEquals([putOff(), host.hasTimer], [0, false]);
});

/** An echo server whose clients have spoken all at once, and whose connections are then all closed. */
function closeAll(clients: number, after: number): ReturnType<typeof serve> {
  const server = serve(clients);
  const { host, admission } = server;
  host.allSend();
  host.run(after);
  const read = host.readEnded;
  host.readEnded = (client) => {
    if (!client.isClosed) return read(client);
    admission.completed(client);
    admission.leave(client);
  };
  for (const client of host.clients) {
    client.close();
    admission.leave(client);
  }
  return server;
}

Deno.test("whenever all connections are closed, no timer is left, and all reads end", () => {
  for (let after = 1 * MS; after < 5 * MS; after += 37) {
    for (const clients of [125, 140, 200, 1000]) {
      const { host, putOff } = closeAll(clients, after);
      assertEquals([putOff(), host.hasTimer], [0, false], `${clients} clients, closed after ${after} µs`);
      host.run(Infinity);
      assertEquals(host.clients.filter(({ isReading }) => isReading).length, 0);
      assertEquals(host.hasTimer, false);
    }
  }
});

Deno.test("there is a timer while a read is put off, and else there is none", () => {
  const { host, putOff } = serve(300);
  host.allSend();
  let withTimer = 0;
  for (const [end, clients] of [[20 * MS, 300], [40 * MS, 150], [60 * MS, 20], [80 * MS, 1]] as const) {
    for (const client of host.clients.slice(clients)) client.silent = true;
    while (host.now < end) {
      host.run(host.now + 1);
      assertEquals(host.hasTimer, putOff() > 0);
      if (host.hasTimer) withTimer++;
    }
  }
  assert(withTimer > 100);
});

Deno.test("what has ended without another read, as connections do, does not make the program look as if it were behind", () => {
  const { host, admission } = closeAll(500, 3 * MS);
  host.run(Infinity);
  const clients = [new Client(host), new Client(host), new Client(host)];
  host.clients.push(...clients);
  let putOff = 0;
  host.readEnded = (client) => {
    admission.completed(client);
    let turns = clients.indexOf(client);
    const work = () => {
      if (turns-- > 0) return host.later(work);
      client.reply(() => {
        admission.request(client);
        if (client.isPutOff) putOff++;
      });
    };
    work();
  };
  for (const client of clients) admission.request(client);
  host.allSend();
  host.run(host.now + 10 * MS);
  assert(Math.min(...clients.map(({ replies }) => replies)) > 50);
  assertEquals(putOff, 0);
});
