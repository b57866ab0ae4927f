"""What the client's own HTTP and WebSockets must cope with, against aiohttp's server."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from edgek.api.errors import Forbidden, ServiceUnavailable
from edgek.client.http import Access, HttpTransport
from edgek.client.pool import MAX_IDLE
from edgek.client.transport import Call
from edgek.client.websocket import WebSocket, frame

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
GET = Call(method="GET", path="/x", timeout=5)


class Peer:
    """``connections`` holds every transport that a request has come by."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.connections: list[asyncio.Transport] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        if request.transport not in self.connections:
            self.connections.append(request.transport)
        return await self._handler(request)


@asynccontextmanager
async def talking(handler: Handler) -> AsyncIterator[tuple[Peer, HttpTransport]]:
    peer = Peer(handler)
    runner = web.ServerRunner(web.Server(peer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = HttpTransport(Access(server=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        yield peer, transport
    finally:
        await transport.close()
        await runner.cleanup()


async def empty(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.json_response({})


async def test_a_connection_is_used_again() -> None:
    async with talking(empty) as (peer, transport):
        for _ in range(5):
            await transport.call(GET)
        assert len(peer.connections) == 1


async def test_few_connections_stay_after_a_burst() -> None:
    async with talking(empty) as (peer, transport):
        await asyncio.gather(*(transport.call(GET) for _ in range(40)))
        async with asyncio.timeout(5):
            while sum(not c.is_closing() for c in peer.connections) > MAX_IDLE:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_calls_at_once_share_few_connections() -> None:
    async with talking(empty) as (peer, transport):
        await asyncio.gather(*(transport.call(GET) for _ in range(40)))
        assert len(peer.connections) < 20


async def test_calls_that_take_long_do_not_hold_up_others() -> None:
    begun = asyncio.Event()

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        waiting.append(request)
        if len(waiting) == 12:
            begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    waiting: list[web.BaseRequest] = []
    async with talking(never) as (peer, transport):
        calls = [asyncio.ensure_future(transport.call(GET)) for _ in range(12)]
        async with asyncio.timeout(4):
            await begun.wait()
        assert len(peer.connections) == 12
        for call in calls[1:6]:
            call.cancel()
        await transport.close()
        done = await asyncio.gather(*calls, return_exceptions=True)
        kinds = ServiceUnavailable | asyncio.CancelledError
        assert all(isinstance(each, kinds) for each in done)


async def test_who_waits_for_a_connection_can_give_up() -> None:
    async with talking(empty) as (_, transport):
        calls = [asyncio.ensure_future(transport.call(GET)) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in done[1::2]] == [dict] * 10
        assert await transport.call(GET) == {}


async def test_a_connection_that_closed_while_it_was_kept_is_replaced() -> None:
    async with talking(empty) as (peer, transport):
        await transport.call(GET)
        peer.connections[0].abort()
        await transport.call(GET)
        assert len(peer.connections) == 2


async def test_what_may_not_be_sent_twice_is_sent_once() -> None:
    asked = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.method)
        if len(asked) > 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({})

    async with talking(handler) as (_, transport):
        await transport.call(GET)
        with pytest.raises(ServiceUnavailable):
            await transport.call(Call(method="POST", path="/x", body={}, timeout=5))
    assert asked == ["GET", "POST"]


async def test_compressed_answers_are_read() -> None:
    body = orjson.dumps({"data": "x" * 200_000})

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert "gzip" in request.headers["Accept-Encoding"]
        return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    async with talking(handler) as (_, transport):
        assert await transport.call(GET) == orjson.loads(body)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 300_000,
        b"",
    ],
)
async def test_an_answer_that_is_none_raises_service_unavailable(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = HttpTransport(Access(server=f"http://127.0.0.1:{port}"))
    async with server:
        with pytest.raises(ServiceUnavailable):
            await transport.call(GET)
    await transport.close()


async def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"a": 1}')
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = HttpTransport(Access(server=f"http://127.0.0.1:{port}"))
    async with server:
        assert await transport.call(GET) == {"a": 1}
    await transport.close()


async def test_a_url_that_is_none_is_said() -> None:
    transport = HttpTransport(Access(server="ftp://x"))
    with pytest.raises(ServiceUnavailable, match="'ftp://x' is no server URL"):
        await transport.call(GET)


# -- WebSockets ------------------------------------------------------------------------------


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            await socket.close()
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.ping()
            await socket.send_bytes(message.data)
    return socket


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_003])
async def test_messages_of_every_size_come_back(size: int) -> None:
    async with talking(echo) as (_, transport), transport.websocket("/ws") as socket:
        sent = bytes(range(256)) * (size // 256 + 1)
        await socket.send(sent[:size])
        assert await socket.receive() == sent[:size]


async def test_a_websocket_ends_for_its_reader_when_either_side_closes() -> None:
    async with talking(echo) as (_, transport):
        async with transport.websocket("/ws") as socket:
            await socket.send("bye")
            assert await socket.receive() is None
            with pytest.raises(OSError, match="closed"):
                await socket.send("more")
        async with transport.websocket("/ws") as socket:
            reading = asyncio.create_task(socket.receive())
            await asyncio.sleep(0)
            await socket.close()
            assert await asyncio.wait_for(reading, 1) is None


async def test_a_reader_that_gives_up_loses_nothing() -> None:
    async with talking(echo) as (_, transport), transport.websocket("/ws") as socket:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.01)
        await socket.send("hello")
        assert await socket.receive() == "hello"


async def test_a_refused_websocket_says_why() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(Forbidden("not you").to_status(), status=403)

    async with talking(handler) as (_, transport):
        with pytest.raises(Forbidden, match="not you"):
            async with transport.websocket("/ws"):
                pass


async def _silent(heartbeat: float | None) -> str | bytes | None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        async for _ in socket:  # pings are read and not answered
            pass
        return socket

    async with (
        talking(handler) as (_, transport),
        transport.websocket("/ws", heartbeat=heartbeat) as socket,
    ):
        return await asyncio.wait_for(_first(socket), 5)


async def _first(socket: WebSocket) -> str | bytes | None:
    return await socket.receive()


async def test_a_peer_that_answers_no_ping_is_gone() -> None:
    assert await _silent(0.05) is None


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_masked_frame_unmasks_to_what_was_sent(data: bytes, mask: bytes) -> None:
    made = frame(2, data, mask=mask)
    body = made[len(made) - len(data) :]
    assert bytes(b ^ mask[i % 4] for i, b in enumerate(body)) == data
