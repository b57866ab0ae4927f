"""Port-forward over a WebSocket of channels: two a port, for data and for errors.

As k8s.io/kubelet portforward/websocket.go: port number i has channels 2i and 2i+1, and the first
message of each is the port as two bytes, the lower one first. A channel cannot be half-closed, so
a connection lasts until the pod ends it or the client goes.
"""

import asyncio
import struct

from edgek.aio.tasks import cancel_and_wait, until_one_ends
from server.endpoints.subresources.port_forward import Target, forward
from server.endpoints.subresources.subprotocol import Dialect
from server.request.model import WebSocket

WAITING = 4
"""Messages of a port that its pod has not taken; then nothing more is read, for any port."""


class _Channel:
    """A connection, as ``forward`` knows a client."""

    def __init__(self, socket: WebSocket, dialect: Dialect, number: int) -> None:
        self._socket, self._dialect, self._number = socket, dialect, number
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self.over = asyncio.Event()

    async def begin(self, port: int) -> None:
        for number in (self._number, self._number + 1):
            await self._send(number, struct.pack("<H", port))

    async def read(self) -> bytes:
        return await self.arrived.get()

    async def write(self, data: bytes) -> None:
        await self._send(self._number, data)

    async def end(self) -> None:
        raise ConnectionResetError("no half-close here: this is the end of both directions")

    async def fail(self, words: str) -> None:
        await self._send(self._number + 1, words.encode())

    async def _send(self, number: int, data: bytes) -> None:
        message = self._dialect.encode(bytes([number]) + data)
        await self._socket.send(message)


async def forward_channels(
    socket: WebSocket, dialect: Dialect, target: Target, ports: list[int]
) -> None:
    """Until the connections of all ports have ended, or the client goes."""
    channels = [_Channel(socket, dialect, 2 * i) for i in range(len(ports))]
    try:
        for channel, port in zip(channels, ports, strict=True):
            await channel.begin(port)
        await until_one_ends(
            _receive(socket, dialect, channels),
            _forward_all(channels, ports, target),
        )
    except OSError:
        pass  # the client has gone
    finally:
        await socket.close()


async def _forward_all(channels: list[_Channel], ports: list[int], target: Target) -> None:
    ways = [
        asyncio.create_task(_one(channel, target, port))
        for channel, port in zip(channels, ports, strict=True)
    ]
    try:
        await asyncio.wait(ways)
    finally:
        await cancel_and_wait(*ways)


async def _one(channel: _Channel, target: Target, port: int) -> None:
    try:
        await forward(channel, target, port)
    except* OSError:
        pass
    finally:
        channel.over.set()
        while not channel.arrived.empty():  # who waits to put something there goes on
            channel.arrived.get_nowait()


async def _receive(socket: WebSocket, dialect: Dialect, channels: list[_Channel]) -> None:
    while (message := await socket.receive()) is not None:
        data = dialect.decode(message)
        if len(data) < 2 or data[0] % 2 or data[0] // 2 >= len(channels):
            continue
        channel = channels[data[0] // 2]
        if not channel.over.is_set():
            await channel.arrived.put(data[1:])
