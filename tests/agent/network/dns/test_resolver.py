"""Packets through the resolver, as a client sees the answers."""

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.network.dns.resolver import Resolver
from agent.network.dns.zone import Zone
from edgek.api.meta import Obj


class Upstream:
    """Answers every name with one address, and remembers what it was asked."""

    def __init__(self, ip: str | None = "198.51.100.1") -> None:
        self.ip = ip
        self.asked: list[str] = []

    async def ask(self, packet: bytes, *, tcp: bool) -> bytes | None:
        query = dns.message.from_wire(packet)
        self.asked.append(query.question[0].name.to_text())
        if self.ip is None:
            return None
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", self.ip))
        return reply.to_wire()


def external(name: str, target: str) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": target},
    }


def resolver(upstream: Upstream | None = None, *, endpoints: int = 0) -> Resolver:
    web: Obj = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.43.0.7", "ports": [{"port": 80}]},
    }
    many: Obj = {
        "metadata": {"name": "many", "namespace": "default"},
        "spec": {"clusterIP": "None", "ports": []},
    }
    slice_ = {
        "metadata": {
            "name": "many-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "many"},
        },
        "addressType": "IPv4",
        "ports": [],
        "endpoints": [{"addresses": [f"10.42.0.{n}"]} for n in range(endpoints)],
    }
    zone = Zone(
        domain="cluster.local",
        dns_ip="10.43.0.10",
        services=[
            web,
            many,
            external("ext", "example.org"),
            external("near", "web.default.svc.cluster.local"),
            external("loop", "pool.default.svc.cluster.local"),
            external("pool", "loop.default.svc.cluster.local"),
        ],
        slices=[slice_],
    )
    return Resolver(zone, upstream or Upstream())


async def ask(
    at: Resolver, name: str, type_: str = "A", *, tcp: bool = False, edns: int | bool = False
) -> dns.message.Message:
    query = dns.message.make_query(name, type_, use_edns=bool(edns), payload=int(edns) or 512)
    reply = await at.answer(query.to_wire(), tcp=tcp)
    assert reply is not None
    message = dns.message.from_wire(reply)
    assert query.is_response(message)
    return message


def texts(message: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in message.answer for item in rrset]


async def test_a_service_name_is_answered_with_authority_and_a_short_life() -> None:
    message = await ask(resolver(), "Web.Default.svc.CLUSTER.local")
    assert texts(message) == ["10.43.0.7"]
    assert message.answer[0].ttl == 5
    assert message.flags & dns.flags.AA
    # Letters' case comes back as it went, which some clients check.
    assert message.answer[0].name.to_text() == "Web.Default.svc.CLUSTER.local."


async def test_an_unknown_name_of_the_zone_is_denied_and_never_asked_elsewhere() -> None:
    upstream = Upstream()
    message = await ask(resolver(upstream), "no.default.svc.cluster.local")
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert message.authority[0].name.to_text() == "cluster.local."
    assert upstream.asked == []


async def test_a_name_without_the_type_is_empty_not_denied() -> None:
    message = await ask(resolver(), "web.default.svc.cluster.local", "AAAA")
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    assert message.authority


async def test_everything_else_is_asked_upstream() -> None:
    upstream = Upstream()
    assert texts(await ask(resolver(upstream), "example.com")) == ["198.51.100.1"]
    assert upstream.asked == ["example.com."]


async def test_without_an_upstream_answer_the_client_is_told_to_try_elsewhere() -> None:
    message = await ask(resolver(Upstream(ip=None)), "example.com")
    assert message.rcode() == dns.rcode.SERVFAIL


async def test_an_external_name_comes_with_its_targets_address() -> None:
    message = await ask(resolver(), "ext.default.svc.cluster.local")
    assert texts(message) == ["example.org.", "198.51.100.1"]
    offline = await ask(resolver(Upstream(ip=None)), "ext.default.svc.cluster.local")
    assert texts(offline) == ["example.org."]


async def test_an_external_name_inside_the_cluster_is_followed_here_and_loops_end() -> None:
    upstream = Upstream()
    message = await ask(resolver(upstream), "near.default.svc.cluster.local")
    assert texts(message) == ["web.default.svc.cluster.local.", "10.43.0.7"]
    assert texts(await ask(resolver(upstream), "loop.default.svc.cluster.local"))
    assert upstream.asked == []


async def test_a_long_answer_is_cut_for_udp_and_whole_over_tcp() -> None:
    many = resolver(endpoints=60)
    name = "many.default.svc.cluster.local"
    cut = await ask(many, name)
    assert cut.flags & dns.flags.TC
    assert len(cut.to_wire()) <= 512
    assert len(texts(await ask(many, name, tcp=True))) == 60
    roomy = await ask(many, name, edns=4096)
    assert len(texts(roomy)) == 60
    assert roomy.edns == 0


async def test_other_opcodes_classes_and_answers_are_not_served() -> None:
    at = resolver()
    query = dns.message.make_query("web.default.svc.cluster.local", "A", rdclass="CH")
    reply = dns.message.from_wire(await at.answer(query.to_wire(), tcp=False) or b"")
    assert reply.rcode() == dns.rcode.REFUSED
    status = bytearray(query.to_wire())
    status[2] |= 2 << 3
    reply = dns.message.from_wire(await at.answer(bytes(status), tcp=False) or b"")
    assert reply.rcode() == dns.rcode.NOTIMP
    answer = dns.message.make_response(query).to_wire()
    assert await at.answer(answer, tcp=False) is None


GOOD = dns.message.make_query("web.default.svc.cluster.local", "A", use_edns=True).to_wire()


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=80), cut=st.integers(0, len(GOOD)), at=st.integers(0, len(GOOD)))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_packet_brings_it_down(data: bytes, cut: int, at: int) -> None:
    serve = resolver(Upstream(ip=None))
    for packet in (data, GOOD[:cut], GOOD[:12] + data, GOOD[:at] + data + GOOD[at:]):
        reply = await serve.answer(packet, tcp=False)
        if reply is not None:
            assert reply[:2] == packet[:2]
            assert reply[2] & 0x80
