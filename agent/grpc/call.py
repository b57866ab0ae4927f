"""One unary gRPC call over a unix socket or TCP, without TLS, within a deadline.

What comes back is bounded, and so is the time; whatever the other side does, the connection is
closed at the end. Errors are GrpcError with gRPC's own code name, never a traceback of a peer's
bad bytes.
"""

import asyncio
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

MAX_MESSAGE = 4 * 1024 * 1024
"""As grpc-go's limit of what a client receives."""
USER_AGENT = "edgek"
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_HTTP_CODES = {
    "400": "INTERNAL", "401": "UNAUTHENTICATED", "403": "PERMISSION_DENIED",
    "404": "UNIMPLEMENTED", "429": "UNAVAILABLE", "502": "UNAVAILABLE", "503": "UNAVAILABLE",
    "504": "UNAVAILABLE",
}  # fmt: skip
"""As grpc's "HTTP to gRPC Status Code Mapping", for a peer that speaks no gRPC."""


class GrpcError(Exception):
    """``code`` is gRPC's name for it. ``connected`` is False where the peer was not reached."""

    def __init__(self, code: str, message: str, *, connected: bool = True) -> None:
        super().__init__(f"rpc error: code = {go_name(code)} desc = {message}")
        self.code, self.message, self.connected = code, message, connected


def go_name(code: str) -> str:
    """As grpc-go prints a code: DeadlineExceeded."""
    return "OK" if code == "OK" else "".join(part.title() for part in code.split("_"))


async def call(
    address: str,
    path: str,
    body: bytes,
    *,
    seconds: float,
    user_agent: str = USER_AGENT,
) -> bytes:
    """``address``: ``unix:///run/x.sock`` or ``host:port``; ``path``: ``/package.Service/Method``.
    Raises GrpcError."""
    deadline = asyncio.get_running_loop().time() + seconds
    reader, writer = await _connect(address, deadline)
    try:
        async with asyncio.timeout_at(deadline):
            exchange = _Exchange(reader, writer)
            await exchange.send(_headers(address, path, seconds, user_agent), body)
            return await exchange.answer()
    except TimeoutError:
        raise GrpcError("DEADLINE_EXCEEDED", "context deadline exceeded") from None
    except OSError as err:
        raise GrpcError("UNAVAILABLE", f"error reading from server: {err}") from err
    finally:
        writer.close()


async def _connect(
    address: str, deadline: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout_at(deadline):
            if address.startswith("unix:"):
                return await asyncio.open_unix_connection(unix_path(address))
            host, _, port = address.rpartition(":")
            return await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        text = "context deadline exceeded"
        raise GrpcError("DEADLINE_EXCEEDED", text, connected=False) from None
    except (OSError, ValueError) as err:
        number = getattr(err, "errno", None) or 0  # asyncio puts words of its own into strerror
        text = f"connection error: {os.strerror(number) if number > 0 else err}"
        raise GrpcError("UNAVAILABLE", text, connected=False) from err


def unix_path(address: str) -> str:
    return address.removeprefix("unix:").removeprefix("//")


def _headers(address: str, path: str, seconds: float, user_agent: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost" if address.startswith("unix:") else address),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", user_agent),
        ("grpc-timeout", f"{max(1, min(int(seconds * 1000), 99_999_999))}m"),
    ]


class _Exchange:
    """One request and its answer on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._reader, self._writer = reader, writer
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._headers: dict[str, str] = {}
        self._data = bytearray()
        self._ended = False

    async def send(self, headers: list[tuple[str, str]], body: bytes) -> None:
        self._h2.initiate_connection()
        self._h2.send_headers(1, headers)
        left = memoryview(struct.pack(">?I", False, len(body)) + body)
        while not self._ended:
            size = min(len(left), self._h2.local_flow_control_window(1))
            size = min(size, self._h2.max_outbound_frame_size)
            if size or not left:
                self._h2.send_data(1, bytes(left[:size]), end_stream=size == len(left))
                left = left[size:]
            if not left:
                break
            if not size:  # the peer has to read before it is sent more
                await self._receive()
        await self._flush()

    async def answer(self) -> bytes:
        while not self._ended:
            await self._receive()
        return _judge(self._headers, bytes(self._data))

    async def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._writer.write(data)
            await self._writer.drain()

    async def _receive(self) -> None:
        from h2.exceptions import ProtocolError

        await self._flush()
        data = await self._reader.read(65536)
        if not data:
            raise GrpcError("UNAVAILABLE", "error reading from server: EOF")
        try:
            events: Iterable[Any] = self._h2.receive_data(data)
            for event in events:
                self._take(event)
        except ProtocolError as err:
            raise GrpcError("UNAVAILABLE", f"the peer does not speak HTTP/2: {err}") from err
        with suppress(OSError):  # it may have answered and gone
            await self._flush()

    def _take(self, event: Any) -> None:
        match type(event).__name__:
            case "ResponseReceived" | "TrailersReceived":
                self._headers.update(event.headers)
            case "DataReceived":
                self._data += event.data
                if len(self._data) > MAX_MESSAGE + 5:
                    text = f"grpc: received message larger than max ({MAX_MESSAGE})"
                    raise GrpcError("RESOURCE_EXHAUSTED", text)
                self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
            case "StreamEnded":
                self._ended = True
            case "StreamReset":
                raise GrpcError(
                    "UNAVAILABLE", f"stream terminated by RST_STREAM: {event.error_code!s}"
                )
            case "ConnectionTerminated" if not self._ended and event.error_code:
                raise GrpcError(
                    "UNAVAILABLE", f"the server closed the connection: {event.error_code!s}"
                )


def _judge(headers: dict[str, str], data: bytes) -> bytes:
    """The one message of a good answer."""
    status = headers.get("grpc-status")
    if status is None:
        http = headers.get(":status", "")
        code = _HTTP_CODES.get(http, "UNKNOWN")
        raise GrpcError(code, f"unexpected HTTP status code received from server: {http}")
    if status != "0":
        number = int(status) if status.isdecimal() else 2
        code = _CODES[number] if number < len(_CODES) else "UNKNOWN"
        raise GrpcError(code, unquote(headers.get("grpc-message", "")))
    if len(data) < 5 or data[0] or int.from_bytes(data[1:5], "big") != len(data) - 5:
        raise GrpcError("INTERNAL", "the answer is not one uncompressed message")
    return data[5:]
