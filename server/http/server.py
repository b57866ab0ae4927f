"""The listener: opens the port, and ends every connection when it is closed.

TLS verifies client certificates against our client CA when one is shown; who that is, and whether
one is needed, is the authenticators' business.
"""

import asyncio
import socket
import ssl
from functools import partial
from typing import Any

from server.http.connection import Connection, Connections, Server
from server.http.websocket import Upgrader
from server.request.model import Handler

GRACE_SECONDS = 1.0
BACKLOG = 1024


class HttpServer:
    """Listens until closed. ``handle`` is the whole chain of filters."""

    def __init__(self, handle: Handler) -> None:
        self._upgrader = Upgrader(handle)
        self._connections = Connections()
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
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        address: tuple[Any, ...] = self._listener.sockets[0].getsockname()
        return int(address[1])

    async def close(self) -> None:
        """Ends every connection: streams at once and in good order, other answers and WebSockets
        within ``GRACE_SECONDS``."""
        if self._listener is None:
            return
        self._listener.close()
        for connection in self._connections:
            connection.close()
        await self._upgrader.close(GRACE_SECONDS)
        await self._connections.gone(GRACE_SECONDS)
        for connection in self._connections:
            connection.abort()
        await self._connections.gone(GRACE_SECONDS)
        await self._listener.wait_closed()
