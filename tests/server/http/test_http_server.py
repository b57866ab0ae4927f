"""HttpServer over a real socket, spoken to in bytes: what HTTP promises, and its bounds."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
import pytest

from server.http import HttpServer
from server.http.parser import MAX_BODY, MAX_BYTES, MAX_HEAD
from server.request.model import (
    ByteStream,
    RawUpgrade,
    Request,
    Response,
    Upgrade,
    WebSocket,
)

UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@dataclass
class Echo:
    """Answers with what it was asked; ``/watch`` streams until it is cancelled."""

    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        self.asked.append(request.path)
        self.headers.append(request.headers)
        if request.path == "/watch":
            return Response(stream=self.stream())
        if request.path == "/slow":
            await asyncio.sleep(0.02)
        if request.path == "/socket":
            return Response(upgrade=Upgrade(protocol="", serve=self.talk))
        if request.path == "/raw":
            headers = {"X-Stream": "v4"}
            return Response(raw_upgrade=RawUpgrade(protocol="X/1", headers=headers, serve=self.raw))
        if request.path == "/large":
            return Response(body=b"x" * 1_000_000)
        shown = {"method": request.method, "path": request.path, "query": dict(request.query)}
        return Response(obj={**shown, "body": request.raw_body.decode()})

    async def talk(self, socket: WebSocket) -> None:
        while (message := await socket.receive()) is not None:
            await socket.send(message)

    async def raw(self, connection: ByteStream) -> None:
        try:
            while data := await connection.read():
                await connection.write(data.upper())
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def stream(self) -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@dataclass
class Wire:
    echo: Echo
    server: HttpServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def answer(self) -> tuple[str, bytes]:
        head = await self.head()
        length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
        return head, await self.reader.readexactly(length)


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    echo = Echo()
    server = HttpServer(echo.handle)
    port = await server.listen("127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(echo, server, reader, writer)
    finally:
        writer.close()
        await server.close()


async def test_requests_sent_at_once_are_answered_in_order():
    async with wire() as w:
        paths = ["/slow", "/a", "/slow", "/b"]
        w.writer.write(b"".join(b"GET %s HTTP/1.1\r\n\r\n" % p.encode() for p in paths))
        answers = [orjson.loads((await w.answer())[1]) for _ in paths]
        assert [a["path"] for a in answers] == paths


async def test_a_request_may_come_byte_by_byte_and_its_body_in_chunks():
    async with wire() as w:
        request = (
            b"POST /a%20b?x=1&x=2&y= HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        for byte in request:
            w.writer.write(bytes([byte]))
            await w.writer.drain()
        got = orjson.loads((await w.answer())[1])
        assert got == {
            "method": "POST", "path": "/a b", "query": {"x": "1", "y": ""}, "body": "abcde",
        }  # fmt: skip


async def test_a_websocket_asked_for_behind_another_request_is_read_on():
    async with wire() as w:
        handshake = b"GET /socket HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n"
        w.writer.write(b"GET /slow HTTP/1.1\r\n\r\n" + handshake)
        assert (await w.answer())[0].startswith("HTTP/1.1 200 ")
        assert (await w.head()).startswith("HTTP/1.1 101 ")
        w.writer.write(b"\x81\x82\0\0\0\0hi")
        async with asyncio.timeout(5):
            assert await w.reader.readexactly(4) == b"\x81\x02hi"


@pytest.mark.parametrize("upgrade", [b"", UPGRADE], ids=["plain", "websocket"])
async def test_each_group_that_one_asks_for_arrives_on_either_way(upgrade: bytes):
    async with wire() as w:
        w.writer.write(
            b"GET /socket HTTP/1.1\r\nHost: x\r\nImpersonate-Group: a,b\r\nX: 1\r\n"
            b"Impersonate-Group: c\r\nX: 2\r\n" + upgrade + b"\r\n"
        )
        await w.head()
        (headers,) = w.echo.headers
        assert headers["impersonate-group"] == "a,b\nc"
        assert headers["x"] == "1, 2"


async def test_head_has_the_length_and_no_body():
    async with wire() as w:
        w.writer.write(b"HEAD /large HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n")
        assert "Content-Length: 1000000\r\n" in await w.head()
        assert orjson.loads((await w.answer())[1])["path"] == "/next"


async def test_a_client_that_waits_for_a_go_ahead_gets_it():
    async with wire() as w:
        w.writer.write(b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await w.head()).startswith("HTTP/1.1 100 ")
        w.writer.write(b"ok")
        assert orjson.loads((await w.answer())[1])["body"] == "ok"


@pytest.mark.parametrize("line", ["HTTP/1.0\r\n", "HTTP/1.1\r\nConnection: close\r\n"])
async def test_who_does_not_keep_alive_is_let_go(line: str):
    async with wire() as w:
        w.writer.write(f"GET /a {line}\r\n".encode())
        await w.answer()
        assert await w.reader.read() == b""


async def test_an_old_client_gets_a_stream_without_chunks():
    async with wire() as w:
        w.writer.write(b"GET /watch HTTP/1.0\r\n\r\n")
        assert "chunked" not in await w.head()
        assert await w.reader.readline() == b"one\n"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"no http at all\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD, 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n"
         + b"x" * (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: "
         + b"x" * (MAX_BYTES + 1), 413),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_with_a_status(request_: bytes, code: int):
    async with wire() as w:
        w.writer.write(request_)
        head, body = await w.answer()
        assert head.startswith(f"HTTP/1.1 {code} ")
        assert orjson.loads(body)["code"] == code
        assert w.echo.asked == []


@pytest.mark.looptime
async def test_a_request_that_does_not_get_on_is_refused_after_a_minute():
    async with wire() as w:
        w.writer.write(b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
        head, body = await w.answer()
        assert head.startswith("HTTP/1.1 400 ")
        assert "did not arrive within 60 s" in orjson.loads(body)["message"]


@pytest.mark.looptime
async def test_an_idle_connection_is_closed_after_five_minutes(looptime):
    async with wire() as w:
        w.writer.write(b"GET /a HTTP/1.1\r\n\r\n")
        await w.answer()
        assert await w.reader.read() == b""
        assert 299 < looptime < 302


async def test_a_client_that_goes_away_ends_its_stream():
    async with wire() as w:
        w.writer.write(b"GET /watch HTTP/1.1\r\n\r\n")
        await w.reader.readuntil(b"one\n")
        w.writer.close()
        async with asyncio.timeout(5):
            await w.echo.cancelled.wait()


async def test_closing_the_server_ends_streams_in_good_order():
    async with wire() as w:
        w.writer.write(b"GET /watch HTTP/1.1\r\n\r\n")
        await w.reader.readuntil(b"one\n")
        await w.server.close()
        assert await w.reader.read() == b"\r\n0\r\n\r\n"


async def test_a_client_that_does_not_read_holds_no_answers_in_memory():
    async with wire() as w:
        w.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        w.reader._transport.pause_reading()  # type: ignore[attr-defined]
        w.writer.write(b"GET /large HTTP/1.1\r\n\r\n" * 50)
        for _ in range(200):
            await asyncio.sleep(0)
        assert 0 < len(w.echo.asked) < 20


RAW = b"POST /raw HTTP/1.1\r\nHost: a\r\nUpgrade: X/1\r\nConnection: Upgrade\r\n\r\n"


async def test_a_connection_goes_on_in_another_protocol_and_loses_no_byte() -> None:
    async with wire() as connection:
        connection.writer.write(RAW + b"early, ")
        head = await connection.head()
        assert head.startswith("HTTP/1.1 101 ")
        assert "upgrade: x/1\r\n" in head.lower()
        assert "X-Stream: v4\r\n" in head
        connection.writer.write(b"late")
        assert await connection.reader.readexactly(11) == b"EARLY, LATE"
        connection.writer.write_eof()
        assert await connection.reader.read() == b""


@pytest.mark.parametrize("path", ["/raw", "/socket"])
async def test_one_that_went_on_otherwise_is_not_kept_in_memory(path: str) -> None:
    async with wire() as connection:
        upgrade = UPGRADE if path == "/socket" else b"Upgrade: X/1\r\nConnection: Upgrade\r\n"
        connection.writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path.encode(), upgrade))
        assert (await connection.head()).startswith("HTTP/1.1 101 ")
        known = connection.server._connections
        assert len(known._transports) == 1
        connection.writer.close()
        async with asyncio.timeout(5):
            while known._transports:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)


async def test_such_a_connection_ends_with_the_server() -> None:
    async with wire() as connection:
        connection.writer.write(RAW)
        await connection.head()
        await connection.server.close()
        assert connection.echo.cancelled.is_set()
        assert await connection.reader.read() == b""
