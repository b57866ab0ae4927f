"""Raw calls of Podman's REST API over its unix socket, in asyncio.

Short calls, hijacked exec and attach sessions, and bodies that stream in either direction (pulls,
image archives). One connection a call, no thread, nothing held that was not asked for.
Raises OSError, asyncio.IncompleteReadError, ValueError and LibpodError; failure.py translates.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

VERSION = "v4.0.0"
"""The oldest API that has all we use; every later Podman serves it too."""
CONNECT_SECONDS = 5.0
MAX_FRAME = 1 << 20
UPLOAD_SECONDS = 300.0
"""How long Podman may take nothing of what it is sent: cards are slow."""


class LibpodError(Exception):
    """An answer other than success; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Libpod:
    def __init__(self, socket: str) -> None:
        self.socket = socket

    async def call(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The whole body of a successful answer. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            reader, writer = await self._send(method, path, params, body, headers)
            try:
                status, fields = await _read_head(reader)
                data = b"".join([chunk async for chunk in _body(reader, fields)])
            finally:
                writer.close()
        if status >= 400:
            raise LibpodError(status, error_text(data))
        return data

    async def hijack(
        self, path: str, *, tty: bool, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> "Hijacked":
        """Turns the connection into a session's two-way stream."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        async with asyncio.timeout(CONNECT_SECONDS * 2):
            reader, writer = await self._send("POST", path, params, body, upgrade)
            try:
                status, fields = await _read_head(reader)
                if status not in (101, 200):
                    data = b"".join([chunk async for chunk in _body(reader, fields)])
                    raise LibpodError(status, error_text(data))
            except BaseException:
                writer.close()
                raise
        return Hijacked(reader, writer, tty=tty)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of a successful answer as it comes; ``body`` is sent first, at Podman's pace.
        ``timeout`` bounds the wait for the answer's head alone. Leaving breaks the call off."""
        chunked = {"Transfer-Encoding": "chunked", "Content-Type": "application/x-tar"}
        extra = (chunked if body is not None else {}) | dict(headers or {})
        reader, writer = await self._send(method, path, params, None, extra)
        try:
            if body is not None:
                await _upload(writer, body)
            async with asyncio.timeout(timeout):
                status, fields = await _read_head(reader)
                if status >= 400:
                    data = b"".join([chunk async for chunk in _pieces(reader, fields)])
                    raise LibpodError(status, error_text(data))
            yield _pieces(reader, fields)
        finally:
            writer.close()

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(self.socket)
        # No body at all where there is none: attach would hand "{}" to the container's stdin.
        data = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "d", "Connection": "close", **(headers or {})}
        if body is not None:
            fields |= {"Content-Type": "application/json"}
        if "Transfer-Encoding" not in fields:
            fields |= {"Content-Length": str(len(data))}
        query = "?" + urlencode(params, doseq=True) if params else ""
        head = [f"{method} /{VERSION}/libpod{quote(path)}{query} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in fields.items()]
        writer.write("\r\n".join([*head, "", ""]).encode() + data)
        try:
            await writer.drain()
        except BaseException:
            writer.close()
            raise
        return reader, writer


class Hijacked:
    """Bytes both ways. Without a tty Podman frames its side: stream number, length, data."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tty: bool
    ) -> None:
        self._reader, self._writer, self._tty = reader, writer, tty

    async def read(self) -> tuple[int, bytes] | None:
        if self._tty:
            data = await self._reader.read(65536)
            return (1, data) if data else None
        try:
            kind, length = struct.unpack(">BxxxL", await self._reader.readexactly(8))
            if length > MAX_FRAME:
                raise ValueError(f"frame of {length} bytes in a session")
            return kind, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def write(self, data: bytes) -> None:
        """Waits where the container does not read: the sender then slows down too."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def close_stdin(self) -> None:
        with contextlib.suppress(OSError):  # the session may have ended by itself
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


async def _upload(writer: asyncio.StreamWriter, body: AsyncIterator[bytes]) -> None:
    """In chunks. Where Podman hangs up half way, what it has to say about it can still be read."""
    async for data in body:
        if data and not await _sent(writer, b"%x\r\n%b\r\n" % (len(data), data)):
            return
    await _sent(writer, b"0\r\n\r\n")


async def _sent(writer: asyncio.StreamWriter, data: bytes) -> bool:
    try:
        writer.write(data)
        async with asyncio.timeout(UPLOAD_SECONDS):
            await writer.drain()
    except ConnectionError:
        return False
    return True


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *rest = raw.decode("latin-1").split("\r\n")
    fields = {}
    for line in rest:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return int(first.split(" ", 2)[1]), fields


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> AsyncIterator[bytes]:
    if fields.get("transfer-encoding") == "chunked":
        while size := await _chunk_size(reader):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif "content-length" in fields:
        yield await reader.readexactly(int(fields["content-length"]))
    else:
        while data := await reader.read(65536):
            yield data


async def _pieces(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> AsyncIterator[bytes]:
    """As ``_body``, but of what is long: no piece is larger than what has come."""
    if fields.get("transfer-encoding") != "chunked":
        while data := await reader.read(65536):
            yield data
        return
    while left := await _chunk_size(reader):
        while left:
            data = await reader.read(min(left, 65536))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(data)
            yield data
        await reader.readexactly(2)


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    """Of an answer in chunks. Where nothing comes any more that was not the answer's end, but
    Podman's."""
    if not (line := await reader.readline()):
        raise ConnectionResetError("its answer broke off")
    return int(line.split(b";")[0], 16)


def error_text(data: bytes) -> str:
    """Podman's ``message`` (the whole chain), or whatever came instead."""
    try:
        decoded = json.loads(data)
        return str(decoded.get("message") or decoded.get("cause") or decoded)
    except (ValueError, AttributeError):
        return data.decode(errors="replace").strip()
