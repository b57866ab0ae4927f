"""The listener: opens the port, and ends every connection when it is closed.

TLS verifies client certificates against our client CA when one is shown; who that is, and whether
one is needed, is the authenticators' business. Clients that vanish are let go: silent ones are
found by keepalive, ones that what is sent waits for by a look at all connections now and then.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from edgek.aio.vanished import GONE_SECONDS, has_vanished
from server.http.connection import Connection, Connections, Server
from server.http.websocket import Upgrader
from server.request.model import Handler

log = logging.getLogger(__name__)

GRACE_SECONDS = 1.0
BACKLOG = 1024
LOOK_SECONDS = 60.0
_KEEPALIVE = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 120),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 30),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 4),
)
"""As the API server's three minutes or so. Agents and ``edgek`` probe sooner themselves, and their
probes put ours off: an idle node is sent nothing for this."""


class HttpServer:
    """Listens until closed. ``handle`` is the whole chain of filters; ``ended`` is told of each
    connection that has ended."""

    def __init__(
        self, handle: Handler, *, look_seconds: float = LOOK_SECONDS,
        gone_seconds: float = GONE_SECONDS, ended: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._look_seconds, self._gone_seconds = look_seconds, gone_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._connections = Connections(ended)
        self._upgrader = Upgrader(handle, ended=self._connections.ended)
        self._shared = Server(
            handle=handle, upgrade=self._upgrader.take_over, connections=self._connections
        )
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """The port listened on. Raises OSError where it cannot be had."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            partial(Connection, self._shared), host, port, ssl=context, backlog=BACKLOG,
            reuse_address=True,
        )  # fmt: skip
        for listening in self._listener.sockets:  # accepted sockets inherit it
            for name, level, value in _KEEPALIVE:
                if hasattr(socket, name):  # macOS lacks some
                    listening.setsockopt(level, getattr(socket, name), value)
        self._look()
        address: tuple[Any, ...] = self._listener.sockets[0].getsockname()
        return int(address[1])

    def _look(self) -> None:
        for transport in self._connections.transports():
            if has_vanished(transport.get_extra_info("socket"), after=self._gone_seconds):
                log.debug("a client has vanished remote=%s", transport.get_extra_info("peername"))
                transport.abort()
        self._timer = asyncio.get_running_loop().call_later(self._look_seconds, self._look)

    async def close(self) -> None:
        """Ends every connection: streams at once and in good order, other answers and WebSockets
        within ``GRACE_SECONDS``."""
        if self._listener is None:
            return
        self._listener.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._connections:
            connection.close()
        await self._upgrader.close(GRACE_SECONDS)
        await self._connections.gone(GRACE_SECONDS)
        for connection in self._connections:
            connection.abort()
        await self._connections.gone(GRACE_SECONDS)
        await self._listener.wait_closed()
