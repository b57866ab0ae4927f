"""Tunnel: keeps one connection to the server, and dials one more for each stream it asks for.

The agent only ever dials out, so it works behind NAT. The other end, and the messages, are in
server/tunnel.py. A lost connection is taken up again with jittered backoff; streams under way are
connections of their own and do not break with it.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from agent.api.stream import Handler, Socket
from edgek.aio.outage import Outage
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, BadRequest, InternalError, ServiceUnavailable, Timeout
from edgek.client.websocket import WebSocket

log = logging.getLogger(__name__)

PREFIX = "/edgek/v1/tunnel/"
PING_SECONDS = 45.0
"""Below the minute or so after which home routers forget a silent connection."""
SEND_SECONDS = 30.0
BACKOFF_SECONDS = (0.5, 30.0)
PAUSE_SECONDS = 3600.0
"""How long a reader may take nothing, as a pager left open does."""
MAX_STREAMS = 448
"""Each is a connection of its own, some 100 KB of memory; below what the transport permits, so
that ordinary requests go on."""
MAX_OF_KIND = 384
"""No kind keeps the others out: logs can be read while a port-forward is under load."""


class Dialer(Protocol):
    """edgek.client.http.HttpTransport is it."""

    def websocket(
        self, path: str, *, heartbeat: float | None = None
    ) -> AbstractAsyncContextManager[WebSocket]: ...


class TunnelSocket:
    """A stream's own WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.accepted = False

    async def accept(self) -> None:
        self.accepted = True
        await self._send_text({"status": 200})

    async def refuse(self, error: ApiError) -> None:
        await self._send_text(error.to_status())

    async def receive(self) -> bytes | None:
        """None once the server has closed."""
        while True:
            message = await self._socket.receive()
            if not isinstance(message, str):
                return message

    async def send(self, data: bytes) -> None:
        """Waits while the reader is slow, but not for ever. Raises OSError once it is gone."""
        async with asyncio.timeout(PAUSE_SECONDS):
            await self._socket.send(data)

    async def _send_text(self, value: Mapping[str, Any]) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._socket.send(json.dumps(value))


class Tunnel:
    """``handlers`` by kind of stream; of one kind there are ``most`` at once. ``ended`` is told
    the end of each."""

    def __init__(
        self, dialer: Dialer, node: str, handlers: Mapping[str, Handler], *,
        most: int = MAX_OF_KIND, ended: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._dialer, self._node, self._handlers, self._most = dialer, node, handlers, most
        self._ended = ended
        self._streams: Counter[str] = Counter()
        self._now = asyncio.Event()

    async def run(self) -> None:
        """Connects, again and again; returns only by cancellation, which ends all streams."""
        least, most = BACKOFF_SECONDS
        wait = least
        outage = Outage(log, "tunnel to the server")
        async with Tasks("tunnel", on_error=lambda name, err: None) as tasks:
            while True:
                try:
                    async with self._dialer.websocket(
                        PREFIX + self._node, heartbeat=PING_SECONDS
                    ) as socket:
                        log.debug("tunnel to the server is open")
                        outage.over()
                        wait = least
                        await self._control(socket, tasks)
                    log.debug("tunnel to the server closed")
                except (ApiError, OSError) as err:
                    # Of a server that is away the Lease tells.
                    outage.failed(err, known=isinstance(err, ServiceUnavailable | Timeout))
                # Jitter: after a restart of the server not all its agents come at once.
                await self._pause(wait * random.uniform(0.5, 1.5))
                wait = min(wait * 2, most)

    async def _pause(self, seconds: float) -> None:
        self._now.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._now.wait()

    def dial_now(self) -> None:
        """The server is known to answer: ends a pause."""
        self._now.set()

    async def _control(self, socket: WebSocket, tasks: Tasks) -> None:
        async for message in socket:
            try:
                call = json.loads(message)
                call_id, kind, params = call["id"], call["kind"], call["params"]
            except (ValueError, KeyError, TypeError):
                log.warning("the server asked for something that is no stream")
                continue
            tasks.spawn(self._stream(call_id, kind, params), name=f"{kind}-{call_id[:6]}")

    async def _stream(self, call_id: str, kind: str, params: Mapping[str, Any]) -> None:
        self._streams[kind] += 1
        try:
            # No pings here: a paused reader (``logs -f | less``) does not answer them.
            async with self._dialer.websocket(f"{PREFIX}{self._node}/{call_id}") as raw:
                await self._serve(TunnelSocket(raw), kind, params)
        except (ApiError, OSError, TimeoutError) as err:
            log.info("stream ended kind=%s error=%s", kind, err)
        finally:
            self._streams[kind] -= 1
            if not self._streams[kind]:  # kinds come from outside
                del self._streams[kind]
            self._ended()

    async def _serve(self, socket: Socket, kind: str, params: Mapping[str, Any]) -> None:
        try:
            handler = self._handlers.get(kind)
            if handler is None:
                raise BadRequest(f"this node does not know streams of kind {kind!r}")
            if self._streams.total() > MAX_STREAMS or self._streams[kind] > self._most:
                raise InternalError(f"this node has too many streams of kind {kind} open already")
            await handler(params, socket)
        except ApiError as err:
            if socket.accepted:
                raise
            await socket.refuse(err)
