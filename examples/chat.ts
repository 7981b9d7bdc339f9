// A chat with rooms. Who reads slowly misses lines, and holds up nobody. Try it twice: nc 127.0.0.1 5679
//   deno run --allow-net examples/chat.ts [port [hostname]]

import {
  type Coroutine,
  hostSignal,
  listen,
  Queue,
  race,
  run,
  serve,
  sleep,
  type Socket,
  timeout,
} from "../mod.ts";

const HELP = "* /join ROOM, /who, /quit; anything else is said in the room";
/** The longest line, in bytes, and how many of them wait for a slow reader. */
const LINE = 1000;
const OUTBOX = 200;

class Member {
  readonly name: string;
  readonly socket: Socket;
  room = "";
  readonly #outbox = new Queue<string>({ capacity: OUTBOX });
  #missed = 0;

  constructor(name: string, socket: Socket) {
    this.name = name;
    this.socket = socket;
  }

  /** Never waits: what finds no room is counted. */
  tell(line: string): void {
    if (this.#missed > 0 && this.#outbox.tryPut(`* you have missed ${this.#missed} lines`)) this.#missed = 0;
    if (this.#missed > 0 || !this.#outbox.tryPut(line)) this.#missed++;
  }

  /** Sends what the member is told. */
  *write(): Coroutine<never> {
    for (;;) {
      yield* this.socket.send(`${yield* this.#outbox.get()}\n`);
      this.#outbox.taskDone();
    }
  }

  /** Waits until all of it is sent, but not for long. */
  *flush(): Coroutine<void> {
    yield* race([this.#outbox.join(), sleep(1000)]);
  }
}

/** The rooms and who is in them. `client` serves one connection. */
export class Chat {
  readonly #rooms = new Map<string, Set<Member>>();
  readonly #names = new Set<string>();

  *client(socket: Socket): Coroutine<void> {
    const name = yield* timeout(60_000, this.#askName(socket));
    if (name === null) return;
    const member = new Member(name, socket);
    try {
      this.#enter(member, "lobby");
      member.tell(HELP);
      yield* race([this.#read(member), member.write()]);
    } finally {
      this.#leave(member);
      this.#names.delete(name);
    }
  }

  *#askName(socket: Socket): Coroutine<string | null> {
    for (;;) {
      yield* socket.send("* what is your name?\n");
      const name = yield* socket.recvLine({ maxBytes: LINE });
      if (name === null) return null;
      if (!/^[\p{L}\p{N}_-]{1,20}$/u.test(name)) {
        yield* socket.send("* a name has up to 20 letters and digits\n");
      } else if (this.#names.has(name)) {
        yield* socket.send(`* there is a ${name} already\n`);
      } else {
        this.#names.add(name);
        return name;
      }
    }
  }

  *#read(member: Member): Coroutine<void> {
    for (let line; (line = yield* member.socket.recvLine({ maxBytes: LINE })) !== null;) {
      const [command, argument = ""] = line.split(" ", 2);
      if (command === "/quit") break;
      else if (command === "/join" && argument !== "") this.#enter(member, printable(argument));
      else if (command === "/who") member.tell(`* here: ${this.#names.values().toArray().join(", ")}`);
      else if (line.startsWith("/")) member.tell(HELP);
      else if (line !== "") this.#say(member.room, `${member.name}: ${printable(line)}`);
      yield* sleep(1); // who is fast to read does not miss lines because others are fast to write
    }
    this.#leave(member);
    yield* member.flush();
  }

  #enter(member: Member, room: string): void {
    this.#leave(member);
    member.room = room;
    if (!this.#rooms.has(room)) this.#rooms.set(room, new Set());
    this.#rooms.get(room)!.add(member);
    this.#say(room, `* ${member.name} has come to ${room}`);
  }

  #leave(member: Member): void {
    const members = this.#rooms.get(member.room);
    if (!members?.delete(member)) return;
    if (members.size === 0) this.#rooms.delete(member.room);
    else this.#say(member.room, `* ${member.name} has left ${member.room}`);
  }

  #say(room: string, line: string): void {
    for (const member of this.#rooms.get(room) ?? []) member.tell(line);
  }
}

/** Without what could play tricks on a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "");
}

if (import.meta.main) {
  const [port = "5679", hostname = "127.0.0.1"] = Deno.args;
  await run(function* () {
    const listener = listen({ port: Number(port), hostname });
    console.log(`listening on ${listener.addr.hostname}:${listener.addr.port}`);
    const chat = new Chat();
    const server = serve(listener, (socket) => chat.client(socket), {
      maxConnections: 10_000,
      onError: (error, _socket, { hostname, port }) => console.log(`${hostname}:${port}: ${error}`),
    });
    // The first signal ends the server, and its clients, the newest first. Then nobody waits for a second one: it ends all.
    yield* race([server, hostSignal("SIGINT"), hostSignal("SIGTERM")]);
    console.log("all closed");
  });
}
