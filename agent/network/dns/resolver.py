"""One query's way: ours from the zone, an alias with its target, all else from upstream."""

from typing import Protocol

from agent.network.dns import message
from agent.network.dns.message import Query
from agent.network.dns.zone import Found, Record, Zone

_LONGEST_ALIAS_CHAIN = 8


class Asks(Protocol):
    async def ask(self, packet: bytes, *, tcp: bool) -> bytes | None:
        """An answer to a whole query packet, or None."""


class Resolver:
    def __init__(self, zone: Zone, upstream: Asks) -> None:
        self.zone = zone
        """Replaced as a whole when services change."""
        self._upstream = upstream

    async def answer(self, packet: bytes, *, tcp: bool) -> bytes | None:
        query = message.parse(packet)
        if not isinstance(query, Query):
            return query
        if not self.zone.owns(query.name):
            reply = await self._upstream.ask(packet, tcp=tcp)
            return message.failure(query) if reply is None else reply
        found = self.zone.lookup(query.name, query.type)
        alias = next((each for each in found.records if each.type == "CNAME"), None)
        if alias is not None and query.type in ("A", "AAAA"):
            return await self._follow(query, alias, tcp=tcp)
        return self._own(query, found, tcp=tcp)

    def _own(self, query: Query, found: Found, *, tcp: bool) -> bytes:
        return message.answer(
            query, found.records, extra=found.extra, zone=self.zone.domain, tcp=tcp,
            code=message.NOERROR if found.exists else message.NXDOMAIN,
        )  # fmt: skip

    async def _follow(self, query: Query, alias: Record, *, tcp: bool) -> bytes:
        """Clients' stub resolvers do not follow aliases themselves."""
        chain = [alias]
        while self.zone.owns(chain[-1].value):
            found = self.zone.lookup(chain[-1].value, query.type)
            chain += found.records
            if not found.records or chain[-1].type != "CNAME" or len(chain) > _LONGEST_ALIAS_CHAIN:
                return self._own(query, Found(exists=True, records=tuple(chain)), tcp=tcp)
        target = message.question(chain[-1].value, query.type)
        reply = await self._upstream.ask(target, tcp=tcp)
        return message.with_addresses(query, tuple(chain), reply, tcp=tcp)
