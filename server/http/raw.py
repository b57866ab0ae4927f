"""A connection that goes on in a protocol that is neither HTTP nor WebSocket (SPDY/3.1)."""

import asyncio

from server.request.model import RawUpgrade

BUFFER = 64 * 1024
"""Read ahead twice this at most; written ahead likewise."""


class _Bytes:
    """The connection as a ByteStream."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
    ) -> None:
        self._reader, self._writer, self._first = reader, writer, first

    async def read(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._reader.read(BUFFER)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()


async def switch(
    transport: asyncio.Transport, first: bytes, upgrade: RawUpgrade, headers: dict[str, str]
) -> None:
    """Answers 101 and serves until that conversation has ended. Nothing else reads or writes the
    transport from here on."""
    if transport.is_closing():
        await upgrade.abandon()
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=BUFFER, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    transport.set_write_buffer_limits(high=BUFFER)
    transport.resume_reading()
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade"]
    fields = {"Upgrade": upgrade.protocol, **upgrade.headers, **headers}
    lines += [f"{name}: {value}" for name, value in fields.items()]
    writer.write("\r\n".join((*lines, "", "")).encode("latin-1"))
    try:
        await upgrade.serve(_Bytes(reader, writer, first))
    finally:
        writer.close()
