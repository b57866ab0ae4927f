"""Raw bytes over a tunnel's stream: what port-forward, and the proxy to pods, are made of.

A message is bytes of the connection, in either direction; an empty one is the end of that
direction (half-close). A WebSocket that closes before the empty message came has broken off. The
connection is made before the stream is accepted, so that a refused one is an ordinary Status.
The server's end is server/endpoints/subresources/raw.py.
"""

import asyncio

from agent.api.stream import Socket
from agent.api.tunnel import PAUSE_SECONDS

CHUNK = 64 * 1024
MAX_BUFFERED = 256 * 1024
"""Of what the connection has not taken yet: beyond it the sender waits."""


async def join(socket: Socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts the stream and passes bytes on until both directions have ended, or one has broken.
    Uses the connection up."""
    writer.transport.set_write_buffer_limits(high=MAX_BUFFERED)
    try:
        await socket.accept()
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_inwards(socket, writer))
            ways.create_task(_outwards(socket, reader))
    except* OSError:
        # The WebSocket closes without an end of that direction: so the other side learns of it.
        writer.transport.abort()
    finally:
        writer.close()


async def _inwards(socket: Socket, writer: asyncio.StreamWriter) -> None:
    while (data := await socket.receive()) is not None:
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        async with asyncio.timeout(PAUSE_SECONDS):
            await writer.drain()
    raise ConnectionResetError("the server has closed")


async def _outwards(socket: Socket, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await socket.send(data)
    await socket.send(b"")
