"""The connections to one server: opened when needed, kept for the next call while few are idle.

Watches, streams and WebSockets take a connection each for as long as they last. A handshake costs
both sides more than most calls, so of many calls at once few open a connection and the others have
it after them. No timers: what has been idle for too long is closed when the next connection is
given back.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cached_property
from urllib.parse import urlsplit

from edgek.client.connection import BrokenAnswer, Connection

CONNECT_SECONDS = 10.0
NEXT_ADDRESS_SECONDS = 3.0
"""How long one address of a name is tried while it has others."""
MAX_CONNECTIONS = 512
MAX_IDLE = 6
IDLE_SECONDS = 90.0
MAX_OPENING = 2
"""New connections for calls that are opened at the same time."""


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
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        """Calls that get what comes free first: a connection, or None, the right to open one."""
        self._closed = False
        host = url.netloc.rpartition("@")[2]
        self.headers = {"Host": host, "Accept-Encoding": "gzip"}
        """What every request says."""

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._make_context()

    async def take(self) -> Connection:
        """An idle connection, or a new one. Raises OSError."""
        return await self._give(self._kept_or_next)

    async def connect(self) -> Connection:
        """A new one. Raises OSError."""
        return await self._give(self._connect)

    async def _give(self, get: Callable[[], Awaitable[Connection]]) -> Connection:
        await self._slots.acquire()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await get()
            if self._closed:
                connection.abort()
                raise BrokenAnswer("it is closed on this side")
        except BaseException:
            self._slots.release()
            raise
        self._taken.add(connection)
        return connection

    async def _kept_or_next(self) -> Connection:
        if (kept := self._kept()) is not None:
            return kept
        if self._opening < MAX_OPENING:
            return await self._open()
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            found = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():  # given something, and cancelled at once
                self._hand_on(waiter.result())
            raise
        return found or await self._open()

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            return await self._connect()
        finally:
            self._opening -= 1
            self._hand_on(None)

    def _hand_on(self, found: Connection | None) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(found)
                return
        if found is not None:
            self._idle.append(found)

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
            self._hand_on(connection)
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
        self._hand_on(None)  # and each that fails to the one behind it

    async def _connect(self) -> Connection:
        if self._closed:
            raise BrokenAnswer("it is closed on this side")
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
