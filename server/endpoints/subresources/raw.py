"""RawStream: the server's end of raw bytes over a tunnel's stream (agent/api/raw.py).

For port-forward and the proxy to pods. An empty message is the end of its direction.
"""

from server.endpoints.subresources.backend import Stream

CHUNK = 64 * 1024


class RawStream:
    """A TCP connection on a node's side. Writing waits while its reader is slow."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ended = False

    async def read(self) -> bytes:
        """What has come; ``b""`` at the end. Raises ConnectionResetError where it broke off."""
        if self._ended:
            return b""
        data = await self._stream.receive()
        if data is None:
            raise ConnectionResetError("the connection on the node broke off")
        self._ended = not data
        return data

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            await self._stream.send(data[at : at + CHUNK])

    async def write_eof(self) -> None:
        """Nothing more comes from us; reading goes on."""
        await self._stream.send(b"")

    async def close(self) -> None:
        await self._stream.close()
