"""One writer, many watchers: seconds until every watcher of a kind has had every event.

The watchers are raw TLS connections in this process that count line ends, so that what is
measured is the server and not a client's JSON.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from bench.process import Server, client_context
from edgek.kinds.configmap import CONFIG_MAP

_PATH = "/api/v1/namespaces/kube-public/configmaps?watch=true"
_DEADLINE = 120.0


@dataclass(frozen=True, kw_only=True)
class FanOut:
    watchers: int
    events: int
    open_seconds: float
    seconds: float
    cpu_seconds: float
    rss: float

    def __str__(self) -> str:
        delivered = self.watchers * self.events
        return (
            f"{self.watchers} watchers: {delivered / self.seconds:,.0f} events/s delivered "
            f"({self.events} to each in {self.seconds:.2f} s), "
            f"{self.cpu_seconds / delivered * 1e6:.1f} us of CPU each; "
            f"opened in {self.open_seconds:.1f} s; RSS {self.rss:.0f} MB"
        )


class _Watcher(asyncio.Protocol):
    """Counts the events of one watch."""

    def __init__(self, request: bytes, events: int) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self._request = request
        self._left = events
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self.opened.set_exception(RuntimeError(data[:200].decode(errors="replace")))
                return
            self.opened.set_result(None)
        data = self._tail + data
        self._left -= data.count(b"}\n")
        # An end split over two reads is seen in the next one.
        self._tail = data[-1:] if data[-1:] == b"}" else b""
        if self._left <= 0 and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.opened, self.done):
            if not future.done():
                future.set_exception(RuntimeError("the server closed a watch"))
                future.exception()


@asynccontextmanager
async def open_watches(
    server: Server, path: str, count: int, *, events: int = sys.maxsize
) -> AsyncIterator[list["asyncio.Future[None]"]]:
    """``count`` watches of ``path``; each future is done when its watch has had ``events``."""
    loop = asyncio.get_running_loop()
    context = client_context(server.access)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    ).encode()
    open_: list[tuple[asyncio.Transport, _Watcher]] = []
    try:
        for _ in range(count):
            pair = await loop.create_connection(
                lambda: _Watcher(request, events), "127.0.0.1", server.port, ssl=context
            )
            open_.append(pair)
        await asyncio.gather(*(w.opened for _, w in open_))
        yield [w.done for _, w in open_]
    finally:
        for transport, _ in open_:
            transport.abort()


async def fan_out(server: Server, *, watchers: int, events: int = 200) -> FanOut:
    began = time.perf_counter()
    there = (await server.client.list(CONFIG_MAP, namespace="kube-public")).items
    total = events + len(there)
    async with open_watches(server, _PATH, watchers, events=total) as done:
        opened = time.perf_counter() - began
        cpu, began = server.cpu_seconds(), time.perf_counter()
        async with asyncio.timeout(_DEADLINE):
            await _write(server, watchers, events)
            await asyncio.gather(*done)
        return FanOut(
            watchers=watchers, events=events, open_seconds=opened,
            seconds=time.perf_counter() - began, cpu_seconds=server.cpu_seconds() - cpu,
            rss=server.rss(),
        )  # fmt: skip


async def _write(server: Server, watchers: int, events: int) -> None:
    numbers = iter(range(events))

    async def work() -> None:
        for number in numbers:
            meta = {"name": f"fan-{watchers}-{number}", "namespace": "kube-public"}
            await server.client.create(CONFIG_MAP, {"metadata": meta, "data": {"v": "x" * 300}})

    await asyncio.gather(*(work() for _ in range(8)))
