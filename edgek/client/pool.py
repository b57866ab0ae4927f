"""The connections to one server: opened when needed, kept for the next call while few are idle.

Watches, streams and WebSockets take a connection each for as long as they last. No timers: what
has been idle for too long is closed when the next connection is given back.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from urllib.parse import urlsplit

from edgek.client.connection import BrokenAnswer, Connection

CONNECT_SECONDS = 10.0
NEXT_ADDRESS_SECONDS = 3.0
"""How long one address of a name is tried while it has others."""
MAX_CONNECTIONS = 512
MAX_IDLE = 6
IDLE_SECONDS = 90.0


class BadAddress(ValueError):
    """The URL of the server cannot be read."""


class Pool:
    """``tls`` makes the context of an https server when it is first needed."""

    def __init__(
        self, server: str, *, tls: Callable[[], ssl.SSLContext], server_name: str = ""
    ) -> None:
        try:
            url = urlsplit(server)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError as err:
            raise BadAddress(server) from err
        if url.scheme not in ("http", "https") or not url.hostname:
            raise BadAddress(server)
        self._host, self._port, self._secure = url.hostname, port, url.scheme == "https"
        self._make_context, self._server_name = tls, server_name
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[Connection] = []
        self._taken: set[Connection] = set()
        self._closed = False
        host = url.netloc.rpartition("@")[2]
        self.headers = {"Host": host, "Accept-Encoding": "gzip"}
        """What every request says."""

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._make_context()

    async def take(self) -> Connection:
        """An idle connection, or a new one. Raises OSError."""
        return await self._give(self._kept)

    async def connect(self) -> Connection:
        """A new one. Raises OSError."""
        return await self._give(lambda: None)

    async def _give(self, kept: Callable[[], Connection | None]) -> Connection:
        await self._slots.acquire()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = kept() or await self._connect()
            if self._closed:
                connection.abort()
                raise BrokenAnswer("it is closed on this side")
        except BaseException:
            self._slots.release()
            raise
        self._taken.add(connection)
        return connection

    def _kept(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    def release(self, connection: Connection) -> None:
        """Every one that was given out, once; those with an answer half read are closed."""
        if connection not in self._taken:
            return
        self._taken.discard(connection)
        self._slots.release()
        now = connection.idle_since = asyncio.get_running_loop().time()
        if connection.reusable and not self._closed:
            self._idle.append(connection)
        elif connection.finished:
            connection.close()
        else:  # in good order it would wait for the rest
            connection.abort()
        while self._idle and (
            len(self._idle) > MAX_IDLE or now - self._idle[0].idle_since > IDLE_SECONDS
        ):
            self._idle.pop(0).close()

    def close(self) -> None:
        """Of what is under way, too: its readers are told that the connection broke."""
        self._closed = True
        for connection in (*self._idle, *self._taken):
            connection.abort()
        self._idle.clear()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(entry[4][0] for entry in found))
        *others, last = addresses
        for address in others:
            try:
                async with asyncio.timeout(NEXT_ADDRESS_SECONDS):
                    return await self._connect_to(str(address))
            except (OSError, TimeoutError) as err:
                if isinstance(err, ssl.SSLError):
                    raise
        return await self._connect_to(str(last))

    async def _connect_to(self, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._context if self._secure else None
        name = (self._server_name or self._host) if self._secure else None
        _, connection = await loop.create_connection(
            Connection, address, self._port, ssl=context, server_hostname=name
        )
        return connection
