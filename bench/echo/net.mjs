// node:net, in Node and in Deno.

import net from "node:net";

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => {});
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 511 }, () => console.log(server.address().port));
