# python3 peers.py asyncio|uvloop|tornado: each in its fastest usual form.

import asyncio
import socket
import sys

kind = sys.argv[1]


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=511)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if kind == "tornado":
    from tornado.ioloop import IOLoop
    from tornado.iostream import StreamClosedError
    from tornado.tcpserver import TCPServer
    from tornado.netutil import bind_sockets

    class Server(TCPServer):
        async def handle_stream(self, stream, address):
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while True:
                    await stream.write(await stream.read_bytes(65536, partial=True))
            except StreamClosedError:
                pass

    sockets = bind_sockets(0, "127.0.0.1", backlog=511)
    server = Server()
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    IOLoop.current().start()
elif kind == "uvloop":
    import uvloop

    uvloop.install()
    asyncio.run(serve())
else:
    asyncio.run(serve())
