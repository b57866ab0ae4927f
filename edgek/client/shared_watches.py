"""Many watches over one WebSocket: an agent watches each ConfigMap and Secret of its pods by name,
and a TLS connection for each would be most of its memory.

    us     ── {"id": 7, "path": "/api/v1/...", "query": {...}} ──> server: begin
    us     ── {"id": 7} ─────────────────────────────────────────> end
    server ── 7 {"type": ..., "object": ...}\\n ... ─────────────> lines of a watch, as ever
    server ── 7 ─────────────────────────────────────────────────> its end, in good order

The socket is opened with the first watch and closed with the last. When it breaks all of them do;
each is opened again by its informer. The other end is server/watches.py.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import orjson

from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import ServiceUnavailable
from edgek.client.transport import Call
from edgek.client.websocket import WebSocket

PATH = "/edgek/v1/watches"
MAX_WAITING = 16 * 1024 * 1024
"""Bytes that a reader may leave lying: more than the largest object."""

Open = Callable[[], AbstractAsyncContextManager[WebSocket]]


class _Feed:
    """What has come for one watch and was not read yet."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._end: ServiceUnavailable | bool = False
        self._news = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        if not chunk:
            self.end(True)
        elif self._size + len(chunk) > MAX_WAITING:
            self.end(ServiceUnavailable("the watch was read too slowly"))
        else:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._news.set()

    def end(self, why: ServiceUnavailable | bool) -> None:
        self._end = self._end or why
        self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk)
                yield chunk
            if isinstance(self._end, ServiceUnavailable):
                raise self._end
            if self._end:
                return
            self._news.clear()
            await self._news.wait()


class SharedWatches:
    """``open_socket`` gives the WebSocket to PATH."""

    def __init__(self, open_socket: Open) -> None:
        self._open_socket = open_socket
        self._feeds: dict[int, _Feed] = {}
        self._last = 0
        self._running: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[WebSocket] | None = None

    @asynccontextmanager
    async def watch(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch. Raises ServiceUnavailable where the socket breaks."""
        self._last += 1
        number, feed = self._last, _Feed()
        self._feeds[number] = feed
        try:
            order = {"id": number, "path": call.path, "query": dict(call.query)}
            async with asyncio.timeout(call.timeout):
                socket = await asyncio.shield(self._connect())
                await _send(socket, order)
            yield feed.chunks()
        finally:
            del self._feeds[number]
            await self._leave(number)

    async def close(self) -> None:
        if self._running is not None:
            await cancel_and_wait(self._running)

    def _connect(self) -> "asyncio.Future[WebSocket]":
        """One attempt for all who wait for it."""
        if self._running is None or self._running.done() or self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._ready), name="shared watches")
        return self._ready

    async def _run(self, ready: "asyncio.Future[WebSocket]") -> None:
        broken: BaseException = ServiceUnavailable("the connection of the watches broke")
        try:
            async with self._open_socket() as socket:
                if not ready.done():
                    ready.set_result(socket)
                async for message in socket:
                    self._hand_out(message)
        except Exception as err:  # told to all who wait
            broken = err
        finally:
            if self._ready is ready:  # whoever comes now opens another
                self._ready = None
            if not ready.done():
                ready.set_exception(broken)
                ready.exception()  # somebody may have stopped waiting
            for feed in self._feeds.values():
                feed.end(ServiceUnavailable(str(broken)))

    def _hand_out(self, message: bytes | str) -> None:
        data = message.encode() if isinstance(message, str) else message
        number, _, lines = data.partition(b" ")
        feed = self._feeds.get(int(number)) if number.isdigit() else None
        if feed is not None:  # else it was given up in this very moment
            feed.put(lines)

    async def _leave(self, number: int) -> None:
        ready = self._ready
        if ready is None or not ready.done() or ready.exception() is not None:
            return
        if not self._feeds:
            await self.close()
            return
        with contextlib.suppress(OSError, ServiceUnavailable):
            await _send(ready.result(), {"id": number})


async def _send(socket: WebSocket, order: object) -> None:
    try:
        await socket.send(orjson.dumps(order).decode())
    except OSError as err:
        raise ServiceUnavailable(f"the connection of the watches broke: {err}") from err
