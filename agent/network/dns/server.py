"""The sockets of cluster DNS: UDP and TCP on one address. Bounded: too much is dropped (UDP,
clients ask again) or refused (TCP)."""

import asyncio
import logging
from typing import Any

from agent.network.dns.resolver import Resolver

log = logging.getLogger(__name__)

MOST_QUERIES = 512
MOST_CONNECTIONS = 64
IDLE_TIMEOUT = 10.0


class DnsServer:
    def __init__(self, resolver: Resolver, ip: str, port: int = 53) -> None:
        self.resolver = resolver
        self.ip = ip
        self.port = port
        self._tasks: set[asyncio.Task[Any]] = set()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections = 0

    async def start(self) -> None:
        """Raises OSError when the address is not ours or taken."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self.ip, self.port)
        )
        self.port = self._udp.get_extra_info("sockname")[1]
        try:
            self._tcp = await asyncio.start_server(
                self._connection, self.ip, self.port, limit=65535
            )
        except OSError:
            self._udp.close()
            raise

    async def stop(self) -> None:
        if self._tcp is not None:
            self._tcp.close()
        if self._udp is not None:
            self._udp.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- UDP -----------------------------------------------------------------------------

    def datagram(self, data: bytes, address: Any) -> None:
        if len(self._tasks) < MOST_QUERIES:
            self._own(asyncio.get_running_loop().create_task(self._answer(data, address)))

    def _own(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            log.error("a DNS query failed", exc_info=err)

    async def _answer(self, data: bytes, address: Any) -> None:
        reply = await self.resolver.answer(data, tcp=False)
        if reply is not None and self._udp is not None:
            self._udp.sendto(reply, address)

    # -- TCP -----------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._connections += 1
        try:
            if self._connections <= MOST_CONNECTIONS:
                await self._queries(reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass  # the client went or idled; it knows
        finally:
            self._connections -= 1
            writer.close()

    async def _queries(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_TIMEOUT):
                length = int.from_bytes(await reader.readexactly(2), "big")
                packet = await reader.readexactly(length)
                reply = await self.resolver.answer(packet, tcp=True)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.datagram(data, addr)

    def error_received(self, exc: Exception) -> None:
        pass  # a client closed its port before our answer came
