"""Asking the node's resolvers, over real sockets on the loopback."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import pytest

from agent.network.dns.resolver import Resolver
from agent.network.dns.server import DnsServer
from agent.network.dns.upstream import ResolvConf, Upstream, answers, parse_resolv_conf
from agent.network.dns.zone import Zone

QUERY = dns.message.make_query("example.com", "A").to_wire()


class Scripted(asyncio.DatagramProtocol):
    """Sends what ``replies`` makes of a query."""

    def __init__(self, replies: Callable[[bytes], list[bytes]]) -> None:
        self.replies = replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        for reply in self.replies(data):
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def resolvers(
    tmp_path: Path, replies: Callable[[bytes], list[bytes]], *, timeout: float = 2
) -> AsyncIterator[Upstream]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Scripted(replies), local_addr=("127.0.0.1", 0)
    )
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\n")
    port = transport.get_extra_info("sockname")[1]
    try:
        yield Upstream(ResolvConf(conf, own=()), port=port, timeout=timeout)
    finally:
        transport.close()


def respond(data: bytes) -> bytes:
    return dns.message.make_response(dns.message.from_wire(data)).to_wire()


async def test_an_answer_comes_back_under_the_clients_id(tmp_path: Path) -> None:
    async with resolvers(tmp_path, lambda data: [respond(data)]) as upstream:
        reply = await upstream.ask(QUERY, tcp=False)
    assert reply is not None
    assert dns.message.from_wire(QUERY).is_response(dns.message.from_wire(reply))


async def test_forged_answers_are_passed_over(tmp_path: Path) -> None:
    other = dns.message.make_query("example.net", "A")

    def replies(data: bytes) -> list[bytes]:
        other.id = int.from_bytes(data[:2], "big")
        good = respond(data)
        wrong_id = bytes([good[0] ^ 1]) + good[1:]
        return [b"", b"x" * 5, wrong_id, dns.message.make_response(other).to_wire(), data, good]

    async with resolvers(tmp_path, replies) as upstream:
        reply = await upstream.ask(QUERY, tcp=False)
    assert reply is not None
    assert answers(QUERY, reply)


async def test_silence_ends_in_nothing_and_sockets_are_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with resolvers(tmp_path, lambda _: [], timeout=0.05) as upstream:
        assert (
            await asyncio.gather(*(upstream.ask(QUERY, tcp=False) for _ in range(5))) == [None] * 5
        )
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_server_that_refuses_is_skipped_for_the_next(tmp_path: Path) -> None:
    async with resolvers(tmp_path, lambda data: [respond(data)]) as upstream:
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.2\nnameserver 127.0.0.1\n")
        assert await upstream.ask(QUERY, tcp=False) is not None


def test_resolv_conf_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    conf = ResolvConf(path, own=("10.43.0.10",))
    assert conf.servers() == ()
    path.write_text("nameserver 192.0.2.1\n")
    assert conf.servers() == ("192.0.2.1",)
    path.write_text("nameserver 192.0.2.2\n")
    os.utime(path, ns=(1, 1))
    assert conf.servers() == ("192.0.2.2",)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        ("# nameserver 192.0.2.1\nsearch x\nnameserver\n", ()),
        ("nameserver 10.43.0.10\nnameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("nameserver nonsense\nnameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(9)), tuple(f"192.0.2.{n}" for n in range(3))),  # noqa: E501
    ],
)  # fmt: skip
def test_what_is_taken_from_resolv_conf(text: str, servers: tuple[str, ...]) -> None:
    assert parse_resolv_conf(text, own=("10.43.0.10",)) == servers


async def test_the_server_answers_over_both_and_many_over_one_connection(tmp_path: Path) -> None:
    zone = Zone(domain="cluster.local", dns_ip="10.43.0.10")
    async with resolvers(tmp_path, lambda data: [respond(data)]) as upstream:
        server = DnsServer(Resolver(zone, upstream), "127.0.0.1", 0)
        await server.start()
        try:
            query = dns.message.make_query("ns.dns.cluster.local", "A").to_wire()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(3):
                writer.write(len(query).to_bytes(2, "big") + query)
                length = int.from_bytes(await reader.readexactly(2), "big")
                reply = dns.message.from_wire(await reader.readexactly(length))
                assert reply.answer[0][0].to_text() == "10.43.0.10"
            writer.close()
            conf = tmp_path / "self.conf"
            conf.write_text("nameserver 127.0.0.1\n")
            client = Upstream(ResolvConf(conf, own=()), port=server.port)
            assert await client.ask(query, tcp=False) is not None
        finally:
            await server.stop()
