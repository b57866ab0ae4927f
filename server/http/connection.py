"""One client's connection: its requests are answered one after the other, in order.

A request is a task; when the client goes away it is cancelled, and a watch ends so. What is sent
waits while the client does not read, and reading waits while a request behind the one being
answered is complete: a connection holds a bounded amount, whatever its client does.
"""

import asyncio
import contextlib
import gzip
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httptools
import orjson

from edgek.api import errors
from server.filters.errors import error_response
from server.http.answer import head, request_of, wants_gzip
from server.http.parser import MAX_HEAD, Message, Parser
from server.http.raw import switch
from server.request.model import Handler, RawUpgrade, Request, Response, Watch

log = logging.getLogger(__name__)

IDLE_SECONDS = 300.0
PARTIAL_SECONDS = 60.0
"""For a request to arrive whole once it has begun, and for a body to be read by the client."""
SLICE = 128 * 1024
"""What is large is handed to TLS in pieces: it copies what it is given, into a buffer that stays
as large as the largest piece for as long as the connection is open."""


class Connections:
    """The open ones; ``gone`` waits until there is none. ``told`` is called as one ends, in
    whatever protocol."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._open: set[Connection] = set()
        # Not a WeakSet: those of uvloop cannot be weakly referred to.
        self._transports: set[asyncio.Transport] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __iter__(self) -> "Iterator[Connection]":
        return iter(tuple(self._open))

    def transports(self) -> list[asyncio.Transport]:
        """Of these, and of those that go on in another protocol."""
        self._transports = {t for t in self._transports if not t.is_closing()}
        return list(self._transports)

    def add(self, connection: "Connection", transport: asyncio.Transport) -> None:
        self._open.add(connection)
        self._transports.add(transport)
        self._empty.clear()

    def lost(self, connection: "Connection", transport: asyncio.Transport) -> None:
        self.ended(transport)
        self.discard(connection)

    def ended(self, transport: "asyncio.Transport | None") -> None:
        """Nothing more comes of it: it is not to be held in memory."""
        if transport is not None:
            self._transports.discard(transport)
            self._told()

    def discard(self, connection: "Connection") -> None:
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def gone(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()


@dataclass(frozen=True, kw_only=True)
class Server:
    """What connections share. ``upgrade`` takes over a transport with the message that wants a
    WebSocket and the bytes behind it."""

    handle: Handler
    upgrade: Callable[[asyncio.Transport, Message, bytes], None]
    connections: Connections


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._transport: asyncio.Transport
        self._peer_certificate: bytes | None = None
        self._remote = ""
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._closing = False
        self._reading_paused = False
        self._writable: asyncio.Future[None] | None = None
        self._waits_since = 0.0
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    # --- the loop calls ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        self._peer_certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        peer = transport.get_extra_info("peername")
        self._remote = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._server.connections.add(self, self._transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        began = parser.partial
        try:
            parser.feed(data)
        except httptools.HttpParserError:
            parser.closed = True
            refusal = errors.BadRequest("the bytes sent are no HTTP request")
            parser.ready.append(Message(refusal=refusal))
        if parser.wants_continue:
            parser.wants_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(parser.rest) > MAX_HEAD:  # it does not wait for the upgrade it asks for
            self._transport.pause_reading()
        if parser.ready:
            self._next()
        elif parser.partial and not began:
            self._waits_since = self._loop.time()
            self._arm(PARTIAL_SECONDS)

    def eof_received(self) -> None:
        """None: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.lost(self, self._transport)
        self._closing = True
        self._parser.ready.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- whose turn it is ----------------------------------------------------------------------

    def _next(self) -> None:
        """Starts the next message, if it is its turn."""
        ready = self._parser.ready
        if self._task is None and ready and not self._closing:
            message = ready.popleft()
            if message.websocket and message.refusal is None:
                self._hand_over(message)
                return
            self._task = self._loop.create_task(self._answer(message))
        if bool(ready) != self._reading_paused:
            self._reading_paused = bool(ready)
            if ready:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _hand_over(self, message: Message) -> None:
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._reading_paused:
            self._transport.resume_reading()
        self._server.upgrade(self._transport, message, self._parser.rest)

    def _finished(self, *, keep_alive: bool) -> None:
        self._task = None
        self._streaming = False
        if not keep_alive or self._closing:
            self._closing = True
            self._transport.close()
            return
        self._next()
        if self._task is None:
            self._wait()

    def close(self) -> None:
        """Ends the connection as soon as that breaks no answer; a watch has no end of its own."""
        self._closing = True
        if self._task is None:
            self._transport.close()
        elif self._streaming:
            self._task.cancel()

    def abort(self) -> None:
        self._transport.abort()

    # --- one timer at most, and none while a request is worked on --------------------------------

    def _wait(self) -> None:
        self._waits_since = self._loop.time()
        if self._timer is None:
            self._arm(IDLE_SECONDS)

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._overdue)

    def _overdue(self) -> None:
        self._timer = None
        if self._task is not None:
            return  # the next wait arms it again
        limit = PARTIAL_SECONDS if self._parser.partial else IDLE_SECONDS
        left = self._waits_since + limit - self._loop.time()
        if left > 0.001:
            self._arm(left)
        elif self._parser.partial:
            why = f"the request did not arrive within {PARTIAL_SECONDS:.0f} s"
            self._parser.ready.append(Message(refusal=errors.BadRequest(why)))
            self._parser.closed = True
            self._next()
        else:
            self._transport.close()

    # --- answering -----------------------------------------------------------------------------

    async def _answer(self, message: Message) -> None:
        keep_alive = False
        try:
            request, response = await self._respond(message)
            if self._closing:
                message.keep_alive = False
            if response.watch is not None:
                try:
                    await self._stream(message, request, response, _lines(response.watch))
                finally:  # here, because lines that nobody began to read have no ``finally`` yet
                    await close_stream(response.watch)
            elif response.raw_upgrade is not None:
                await self._switch(response.raw_upgrade, response.headers)
            elif response.stream is not None:
                await self._stream(message, request, response, response.stream)
            else:
                await self._send(message, request, response)
            keep_alive = message.keep_alive
        except (ConnectionError, TimeoutError):
            log.debug("client went away remote=%s path=%s", self._remote, message.target)
            self._transport.abort()
        except Exception:
            log.exception("answering failed method=%s path=%s", message.method, message.target)
            self._transport.abort()
        finally:
            self._finished(keep_alive=keep_alive)

    async def _respond(self, message: Message) -> tuple[Request, Response]:
        try:
            if message.refusal is not None:
                raise message.refusal
            request = request_of(
                message, peer_certificate=self._peer_certificate, remote=self._remote
            )
        except errors.ApiError as err:
            return Request(method=message.method, path=message.target), error_response(err)
        return request, await self._server.handle(request)

    async def _send(self, message: Message, request: Request, response: Response) -> None:
        body = response.body if response.body is not None else orjson.dumps(response.obj)
        gzipped = wants_gzip(message, response, body)
        if gzipped:
            body = await self._loop.run_in_executor(None, _pack, body)
        start = head(
            message, response, warnings=request.warnings, length=len(body),
            keep_alive=message.keep_alive, gzipped=gzipped,
        )  # fmt: skip
        if message.method == "HEAD" or response.status == 304:
            body = b""
        if len(body) <= SLICE:
            self._transport.write(start + body)
            if self._writable is not None:
                await self._drain(PARTIAL_SECONDS)
        else:
            self._transport.write(start)
            await self._write(body, PARTIAL_SECONDS)

    async def _stream(
        self, message: Message, request: Request, response: Response, chunks: AsyncIterator[bytes]
    ) -> None:
        """Writes as fast as the client reads: the drain of each write is the backpressure."""
        chunked = message.version != "1.0"
        message.keep_alive = message.keep_alive and chunked
        self._streaming = True
        if self._closing:
            await close_stream(chunks)
            return
        start = head(
            message, response, warnings=request.warnings, length=None,
            keep_alive=message.keep_alive,
        )  # fmt: skip
        self._transport.write(start)
        if message.method == "HEAD":  # has no body that could be waited for
            await close_stream(chunks)
            return
        try:
            async for chunk in chunks:
                if chunk:
                    framed = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
                    await self._write(framed, None)
        except asyncio.CancelledError:
            if self._transport.is_closing():
                raise
            message.keep_alive = False  # the server goes down: the stream ends in good order
        finally:
            await close_stream(chunks)
        if chunked:
            self._transport.write(b"0\r\n\r\n")

    async def _switch(self, upgrade: RawUpgrade, headers: dict[str, str]) -> None:
        """The transport gets another protocol, so that its loss is not told to us any more."""
        self._streaming = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            if self._closing:
                await upgrade.abandon()
            else:
                await switch(self._transport, self._parser.rest, upgrade, headers)
        finally:
            self._server.connections.lost(self, self._transport)

    async def _write(self, data: bytes, seconds: float | None) -> None:
        view = memoryview(data)
        for at in range(0, len(data), SLICE):
            self._transport.write(view[at : at + SLICE])
            await self._drain(seconds)

    async def _drain(self, seconds: float | None) -> None:
        """Raises ConnectionError where the client is gone, TimeoutError where it does not read."""
        if self._transport.is_closing():
            raise ConnectionResetError
        if self._writable is not None:
            async with asyncio.timeout(seconds):
                await self._writable


def _pack(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)


async def _lines(watch: Watch) -> AsyncIterator[bytes]:
    """A watch as lines; an error inside it becomes its last event."""
    try:
        async for chunk in watch:
            yield b"".join([line for _, line in chunk])
    except errors.ApiError as err:
        yield b'{"type":"ERROR","object":%s}\n' % orjson.dumps(err.to_status())


async def close_stream(stream: Any) -> None:
    if (close := getattr(stream, "aclose", None)) is not None:
        await close()
