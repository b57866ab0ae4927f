"""Service account tokens for pods: asked for by TokenRequest, renewed at 80 % of their life.

As pkg/kubelet/token: with the server gone a pod keeps the token it has, which is why the files
of earlier tokens are read back after a restart of the agent.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.pods.state import LONG_AGO
from edgek.aio.clock import Clock
from edgek.api.errors import ApiError
from edgek.api.meta import Obj, get_path, name, namespace, uid
from edgek.api.time import parse_time
from edgek.client.client import Client
from edgek.kinds import SERVICE_ACCOUNT

DEFAULT_SECONDS = 3600
MAX_AGE = timedelta(hours=24)
RETRY = timedelta(seconds=30)
FIRST_SECONDS = 2.0
"""How long a pod that has a token of before waits to begin: a server that is out of reach may give
no answer at all."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    token: bytes
    renew_at: datetime


class Tokens:
    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._held: dict[str, dict[tuple[str, int], _Held]] = {}

    async def get(self, pod: Obj, source: Obj, *, old: bytes | None) -> bytes:
        """The token for one projected source; ``old`` is what its file holds, to fall back on.
        Raises ApiError where there is neither."""
        seconds = source.get("expirationSeconds") or DEFAULT_SECONDS
        mine = self._held.setdefault(uid(pod), {})
        key = (source.get("audience") or "", seconds)
        held = mine.get(key)
        if held is not None and self._clock.now() < held.renew_at:
            return held.token
        begins_with_old = held is None and old is not None
        try:
            async with asyncio.timeout(FIRST_SECONDS if begins_with_old else None):
                held = await self._request(pod, audience=key[0], seconds=seconds)
        except (ApiError, TimeoutError):
            kept = held.token if held is not None else old
            if kept is None:
                raise
            held = _Held(token=kept, renew_at=self._clock.now() + RETRY)
        mine[key] = held
        return held.token

    def renew_at(self, pod_uid: str) -> datetime | None:
        return min((h.renew_at for h in self._held.get(pod_uid, {}).values()), default=None)

    def renew_all(self) -> None:
        """The clock was set: none is known to be of this time."""
        for held in self._held.values():
            for key, one in held.items():
                held[key] = replace(one, renew_at=LONG_AGO)

    def forget(self, pod_uid: str) -> None:
        self._held.pop(pod_uid, None)

    async def _request(self, pod: Obj, *, audience: str, seconds: int) -> _Held:
        account = get_path(pod, "spec", "serviceAccountName", default="default")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name(pod), "uid": uid(pod)}
        spec: Obj = {"expirationSeconds": seconds, "boundObjectRef": bound}
        if audience:
            spec["audiences"] = [audience]
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"namespace": namespace(pod)},
            "spec": spec,
        }
        got = await self._client.create(SERVICE_ACCOUNT, request, subresource="token", name=account)
        now = self._clock.now()
        life = parse_time(got["status"]["expirationTimestamp"]) - now
        return _Held(token=got["status"]["token"].encode(), renew_at=now + min(life * 0.8, MAX_AGE))
