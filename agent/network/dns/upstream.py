"""Asks the node's own resolvers, those of /etc/resolv.conf, for what is not the cluster's.

The file is read again when its time changed, looked at when a query needs it: nothing polls.
Bounded in number and time; each query leaves from a port of its own with an id of its own and
only an answer to exactly it is believed. Our own address in the file is passed over (no loops).
"""

import asyncio
import ipaddress
import logging
import secrets
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger(__name__)

TIMEOUT = 2.0
MOST_IN_FLIGHT = 256
MOST_SERVERS = 3
_LARGEST = 65535


class ResolvConf:
    def __init__(self, path: Path, *, own: Collection[str]) -> None:
        self._path = path
        self._own = frozenset(own)
        self._stamp: tuple[int, int] | None = None
        self._servers: tuple[str, ...] = ()

    def servers(self) -> tuple[str, ...]:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._servers = parse_resolv_conf(self._path.read_text(), own=self._own)
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as err:
            if self._stamp is not None:
                log.warning("cannot read resolvers path=%s error=%s", self._path, err)
            self._servers, self._stamp = (), None
        return self._servers


def parse_resolv_conf(text: str, *, own: Collection[str]) -> tuple[str, ...]:
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and words[1] not in own:
            try:
                ipaddress.ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
            found.append(words[1])
    return tuple(found[:MOST_SERVERS])


class Upstream:
    def __init__(self, conf: ResolvConf, *, port: int = 53, timeout: float = TIMEOUT) -> None:
        self._conf = conf
        self._port = port
        self._timeout = timeout
        self._in_flight = 0

    async def ask(self, packet: bytes, *, tcp: bool) -> bytes | None:
        """The first answer of the servers in their order; None: nobody answered."""
        if self._in_flight >= MOST_IN_FLIGHT:
            return None
        self._in_flight += 1
        try:
            for server in self._conf.servers():
                try:
                    async with asyncio.timeout(self._timeout):
                        return await (self._tcp if tcp else self._udp)(server, packet)
                except (OSError, TimeoutError, EOFError):
                    continue
            return None
        finally:
            self._in_flight -= 1

    async def _udp(self, server: str, packet: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        sent = secrets.token_bytes(2) + packet[2:]
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _OneAnswer(sent), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(sent)
            return packet[:2] + (await protocol.answer)[2:]
        finally:
            transport.close()

    async def _tcp(self, server: str, packet: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port, limit=_LARGEST)
        try:
            writer.write(len(packet).to_bytes(2, "big") + packet)
            await writer.drain()
            length = int.from_bytes(await reader.readexactly(2), "big")
            answer = await reader.readexactly(length)
            if not answers(packet, answer):
                raise EOFError("an answer to something else")
            return answer
        finally:
            writer.close()


class _OneAnswer(asyncio.DatagramProtocol):
    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and answers(self._sent, data):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.answer.cancel()


def answers(query: bytes, answer: bytes) -> bool:
    """Same id, marked as an answer, same question (letters' case aside)."""
    if len(answer) < 12 or answer[:2] != query[:2] or not answer[2] & 0x80:
        return False
    end = _question_end(query)
    # Some servers send errors without the question.
    if answer[4:6] == b"\0\0":
        return bool(answer[3] & 0x0F)
    return end > 0 and answer[12:end].lower() == query[12:end].lower()


def _question_end(packet: bytes) -> int:
    at = 12
    while at < len(packet) and packet[at]:
        at += packet[at] + 1
    return at + 5 if at + 5 <= len(packet) else 0
