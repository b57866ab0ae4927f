"""The keys of an OpenID provider: found by its discovery document, fetched late and kept.

Nothing is asked before the first token of that issuer comes. A token whose key we do not know
makes us ask again, but not more often than every ``REST`` seconds, whoever sends how many: as
go-oidc's remote key set, with a bound. While the provider cannot be reached its known keys hold.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from edgek.aio.clock import Clock
from edgek.api.errors import ApiError

log = logging.getLogger(__name__)
REST = timedelta(seconds=10)
TIMEOUT = 10.0
MAX_DOCUMENT = 1024 * 1024


class ProviderKeys:
    def __init__(self, issuer: str, *, ca_pem: bytes, clock: Clock) -> None:
        self._issuer = issuer
        self._ca_pem = ca_pem
        self._clock = clock
        self._keys: Mapping[str, Sequence[Mapping[str, Any]]] = {}
        self._asked: datetime | None = None
        self._one = asyncio.Lock()

    async def find(self, key_id: str) -> Sequence[Mapping[str, Any]]:
        """Keys of that id, all of them for ""; none where it has no such key or cannot be asked."""
        if not (found := self._known(key_id)):
            async with self._one:
                if not (found := self._known(key_id)):
                    await self._refresh()
                    found = self._known(key_id)
        return found

    def _known(self, key_id: str) -> Sequence[Mapping[str, Any]]:
        if key_id:
            return self._keys.get(key_id, ())
        return [key for keys in self._keys.values() for key in keys]

    async def _refresh(self) -> None:
        now = self._clock.now()
        if self._asked is not None and now < self._asked + REST:
            return
        self._asked = now
        try:
            async with asyncio.timeout(TIMEOUT):
                self._keys = await self._fetch_keys()
        except (TimeoutError, ValueError) as err:
            why = str(err) or "no answer in time"
            log.warning("cannot get the OpenID provider's keys issuer=%s error=%s",
                        self._issuer, why)  # fmt: skip

    async def _fetch_keys(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        from server.webhooks.door import Door

        door = Door(lambda host, port: None, connections=1)
        try:
            url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            about = await self._get(door, url)
            if about.get("issuer") != self._issuer:
                raise ValueError(f"the discovery document is of issuer {about.get('issuer')!r}")
            uri = str(about.get("jwks_uri") or "")
            if not uri.startswith("https://"):
                raise ValueError("the discovery document has no https jwks_uri")
            return _by_id((await self._get(door, uri)).get("keys"))
        finally:
            await door.close()

    async def _get(self, door: Any, url: str) -> dict[str, Any]:
        from server.webhooks.door import Ask, TooLarge, Trust, Unreachable

        try:
            answer = await door.open(Ask(method="GET", url=url, trust=Trust(ca=self._ca_pem)))
            try:
                body = await answer.read(MAX_DOCUMENT)
            finally:
                answer.close()
        except (Unreachable, TooLarge, ApiError) as err:
            raise ValueError(f"{url}: {err}") from err
        if answer.status != 200:
            raise ValueError(f"{url}: status {answer.status}")
        found = orjson.loads(body)
        if not isinstance(found, dict):
            raise ValueError(f"{url}: no JSON object")
        return found


def _by_id(keys: Any) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    if not isinstance(keys, list):
        raise ValueError("the key set has no keys")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for key in keys:
        if isinstance(key, dict):
            found.setdefault(str(key.get("kid") or ""), []).append(key)
    return found
