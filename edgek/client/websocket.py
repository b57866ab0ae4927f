"""A WebSocket's client side (RFC 6455) over a Connection: whole messages in, whole messages out.

Pings are answered while somebody receives; with a heartbeat the peer is pinged, and is taken for
gone where nothing at all comes from it until the next is due. No extensions: what goes over it is
small, or compressed already.
"""

import asyncio
import base64
import hashlib
import os
import struct
from collections.abc import Mapping
from contextlib import suppress

from edgek.client.connection import Answer, BrokenAnswer, Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MORE, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
NORMAL, BROKEN_OFF = 1000, 1011
"""Of our codes for the end: all is said, or what was to be said has not been."""
CLOSE_SECONDS = 5.0


class Handshake:
    """What is sent to ask for a WebSocket, and whether the answer is one."""

    def __init__(self, protocols: tuple[str, ...]) -> None:
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._protocols = protocols

    @property
    def headers(self) -> Mapping[str, str]:
        offered = {"Sec-WebSocket-Protocol": ", ".join(self._protocols)} if self._protocols else {}
        return {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self._key,
            **offered,
        }

    def check(self, answer: Answer) -> str:
        """The subprotocol. Raises BrokenAnswer."""
        wanted = base64.b64encode(hashlib.sha1(self._key.encode() + _GUID).digest()).decode()
        if (
            answer.header("upgrade").lower() != "websocket"
            or answer.header("sec-websocket-accept") != wanted
        ):
            raise BrokenAnswer("the server's answer is no WebSocket handshake")
        protocol = answer.header("sec-websocket-protocol")
        if protocol and protocol not in self._protocols:
            raise BrokenAnswer(f"the server speaks {protocol!r}, which was not offered")
        return protocol


class WebSocket:
    """``receive`` is for one reader at a time; ``send`` for any number."""

    def __init__(
        self, connection: Connection, *, protocol: str, heartbeat: float | None, max_size: int
    ) -> None:
        self._connection, self.protocol, self._max_size = connection, protocol, max_size
        self._heartbeat = heartbeat
        self._buffer = bytearray()
        self._said_goodbye = self._receiving = False
        self._ended = asyncio.Event()
        self._heard = True
        self._timer: asyncio.TimerHandle | None = None
        self._beat()

    async def receive(self) -> bytes | str | None:
        """The next message; None once either side has closed, or the connection has broken."""
        self._receiving = True
        try:
            return await self._message()
        except OSError:
            self._end()
            return None
        finally:
            self._receiving = False

    def __aiter__(self) -> "WebSocket":
        return self

    async def __anext__(self) -> bytes | str:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def send(self, message: bytes | str) -> None:
        """Waits while the peer is slow. Raises OSError once it is gone."""
        if isinstance(message, str):
            await self._send(_TEXT, message.encode())
        else:
            await self._send(_BINARY, message)

    async def close(self, code: int = NORMAL) -> None:
        """Says so, and waits a little for the peer to say so too."""
        if not self._ended.is_set():
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._send(_CLOSE, struct.pack("!H", code))
                    if self._receiving:
                        await self._ended.wait()
                    while await self.receive() is not None:
                        pass
        self._end()

    def _end(self) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close()

    # -- frames ----------------------------------------------------------------------------

    async def _message(self) -> bytes | str | None:
        kind, size = 0, 0
        parts: list[bytes] = []
        while not self._ended.is_set():
            final, opcode, data = await self._frame()
            if opcode == _CLOSE:
                with suppress(OSError):
                    await self._send(_CLOSE, data[:2])
                self._end()
            elif opcode == _PING:
                await self._send(_PONG, data)
            elif opcode in (_TEXT, _BINARY, _MORE):
                kind = opcode or kind
                parts.append(data)
                size += len(data)
                if size > self._max_size:
                    raise BrokenAnswer("a message that is too large")
                if final:
                    whole = parts[0] if len(parts) == 1 else b"".join(parts)
                    return whole.decode(errors="replace") if kind == _TEXT else whole
        return None

    async def _frame(self) -> tuple[bool, int, bytes]:
        """Taken from the buffer only when it is whole: whoever waits here may be cancelled."""
        while (found := self._whole_frame()) is None:
            data = await self._connection.read()
            if not data:
                raise BrokenAnswer("the connection ended")
            self._heard = True
            self._buffer += data
        return found

    def _whole_frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        size, start = second & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:start], "big") if len(buffer) >= start else 0
        if first & 0x70 or second & 0x80 or size > self._max_size:
            raise BrokenAnswer("a frame that no server may send")
        if len(buffer) < start + size:
            return None
        data = bytes(buffer[start : start + size])
        del buffer[: start + size]
        return bool(first & 0x80), first & 0x0F, data

    async def _send(self, opcode: int, data: bytes) -> None:
        if self._said_goodbye or self._ended.is_set():
            raise BrokenAnswer("the WebSocket is closed")
        self._said_goodbye = opcode == _CLOSE
        await self._connection.write(frame(opcode, data, mask=os.urandom(4)))

    def _beat(self) -> None:
        """A ping, or the end where the last one had no answer."""
        if self._heartbeat is None or self._ended.is_set():
            return
        if not self._heard and not self._connection.unread:
            self._connection.abort()
            return
        self._heard = False
        self._connection.transport.write(frame(_PING, b"", mask=os.urandom(4)))
        self._timer = asyncio.get_running_loop().call_later(self._heartbeat, self._beat)


def frame(opcode: int, data: bytes, *, mask: bytes) -> bytes:
    """One whole message as a client sends it."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
    # As one large number: a byte at a time would be a hundred times slower.
    stretched = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(data, "little") ^ int.from_bytes(stretched, "little")
    return head + mask + masked.to_bytes(size, "little")
