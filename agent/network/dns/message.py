"""DNS packets in and out. Pure; whatever the bytes, parsing them raises nothing.

dnslib is imported when the first packet comes. Answers keep the question as it was asked
(some clients check its letters' case), say TTL 5, and are cut to what the client can take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.network.dns.zone import Record

TTL = 5
UDP_DEFAULT, UDP_MOST = 512, 1232
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
_HEADER = 12


@dataclass(frozen=True, kw_only=True)
class Query:
    name: str
    """Lower case, without the trailing dot."""
    type: str
    limit: int
    """The most bytes of a UDP answer."""
    parsed: Any


def parse(data: bytes) -> "Query | bytes | None":
    """A query, or the packet that refuses it, or None for what deserves no answer."""
    if len(data) < _HEADER or data[2] & 0x80:  # an answer: never answer answers
        return None
    import dnslib

    if (data[2] >> 3) & 0x0F:
        return _refusal(data, NOTIMP)
    try:
        record = dnslib.DNSRecord.parse(data)
        if len(record.questions) != 1:
            return _refusal(data, FORMERR)
        question = record.q
        if question.qclass not in (1, 255):
            return _refusal(data, REFUSED)
        name = str(question.qname).rstrip(".").lower()
        type_ = str(dnslib.QTYPE.get(question.qtype))
    except Exception:  # dnslib lets struct, index and unicode errors through
        return _refusal(data, FORMERR)
    return Query(name=name, type=type_, limit=_limit(record), parsed=record)


def _limit(record: Any) -> int:
    sizes = [rr.rclass for rr in record.ar if rr.rtype == 41]
    return min(max(UDP_DEFAULT, sizes[0]), UDP_MOST) if sizes else UDP_DEFAULT


def _refusal(data: bytes, code: int) -> bytes:
    """A bare header: the same id, and nothing of a packet that could not be read."""
    opcode_and_rd = data[2] & 0x79
    return data[:2] + bytes([0x80 | opcode_and_rd, 0x80 | code]) + bytes(8)


def answer(
    query: Query,
    records: Sequence[Record] = (),
    *,
    extra: Sequence[Record] = (),
    code: int = NOERROR,
    zone: str = "",
    tcp: bool = False,
) -> bytes:
    """The reply; ``zone`` is the one whose authority a negative answer names."""
    reply = _reply(query, code, authoritative=bool(zone))
    for record in records:
        reply.add_answer(_wire(record, query))
    for record in extra:
        reply.add_ar(_wire(record, query))
    if zone and not records and code in (NOERROR, NXDOMAIN):
        reply.add_auth(_start_of_authority(zone))
    return _fit(reply, query, tcp=tcp)


def with_addresses(
    query: Query, aliases: Sequence[Record], packet: bytes | None, *, tcp: bool
) -> bytes:
    """Aliases and what the node's resolvers said of the last one's target."""
    import dnslib

    reply = _reply(query, NOERROR, authoritative=True)
    for alias in aliases:
        reply.add_answer(_wire(alias, query))
    try:
        for rr in dnslib.DNSRecord.parse(packet).rr if packet else []:
            if rr.rtype in (1, 5, 28):
                reply.add_answer(rr)
        return _fit(reply, query, tcp=tcp)
    except Exception:  # a stranger's packet: the alias alone is still an answer
        return answer(query, aliases, zone=query.name, tcp=tcp)


def question(name: str, type_: str) -> bytes:
    """A query of our own, to ask others for the target of an alias."""
    import dnslib

    return bytes(dnslib.DNSRecord.question(name, type_).pack())


def failure(query: Query) -> bytes:
    return answer(query, code=SERVFAIL, tcp=True)


def _reply(query: Query, code: int, *, authoritative: bool) -> Any:
    import dnslib

    reply = query.parsed.reply(ra=1, aa=int(authoritative))
    reply.header.rcode = code
    if any(rr.rtype == 41 for rr in query.parsed.ar):
        reply.add_ar(dnslib.EDNS0(udp_len=UDP_MOST))
    return reply


def _fit(reply: Any, query: Query, *, tcp: bool) -> bytes:
    packed = bytes(reply.pack())
    if tcp or len(packed) <= query.limit:
        return packed
    # Keeps the question, which dnslib's own truncate() drops and clients insist on.
    cut = _reply(query, reply.header.rcode, authoritative=bool(reply.header.aa))
    cut.header.tc = 1
    return bytes(cut.pack())


def _wire(record: Record, query: Query) -> Any:
    import dnslib

    made = {
        "A": lambda: dnslib.A(record.value),
        "CNAME": lambda: dnslib.CNAME(record.value),
        "PTR": lambda: dnslib.PTR(record.value),
        "NS": lambda: dnslib.NS(record.value),
        "TXT": lambda: dnslib.TXT(record.value),
        "SRV": lambda: dnslib.SRV(priority=0, weight=100, port=record.port, target=record.value),
    }[record.type]()
    asked = query.parsed.q.qname
    name = asked if record.name == query.name else record.name
    return dnslib.RR(name, getattr(dnslib.QTYPE, record.type), rdata=made, ttl=TTL)


def _start_of_authority(zone: str) -> Any:
    import dnslib

    times = (1, 7200, 1800, 86400, TTL)
    data = dnslib.SOA(f"ns.dns.{zone}", f"hostmaster.{zone}", times)
    return dnslib.RR(zone, dnslib.QTYPE.SOA, rdata=data, ttl=TTL)
