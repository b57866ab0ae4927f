"""The node's heartbeat: a Lease in kube-node-lease, renewed every ten seconds.

It is memory on the server, so a heartbeat costs no disk write, and the Node object stays as it
is. As pkg/kubelet/nodelease; 40 s without one and the node is NotReady. This is also who tells,
once and for all of the agent, that the server cannot be reached, and that it can be again.
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from edgek.aio.clock import Clock
from edgek.aio.outage import Outage
from edgek.api.errors import AlreadyExists, ApiError, NotFound
from edgek.api.meta import Key, Obj
from edgek.api.time import format_micro_time
from edgek.client.client import Client
from edgek.kinds import LEASE

log = logging.getLogger(__name__)

NAMESPACE = "kube-node-lease"
DURATION = 40
PERIOD = 10.0


class NodeLease:
    """``run`` renews until cancelled; an unreachable server is tried again next time. ``on_back``
    are told when it answers again: their own next try may be half a minute away, for which long
    services would leave the pods of this node out."""

    def __init__(
        self, client: Client, node_name: str, *, clock: Clock,
        on_back: tuple[Callable[[], None], ...] = (),
    ) -> None:  # fmt: skip
        self._client = client
        self._name = node_name
        self._clock = clock
        self._on_back = on_back
        self._outage = Outage(log, "connection to the server")
        self.reachable: bool | None = None
        """Whether the last renewal was answered; None before the first."""
        self.since: datetime | None = None
        """Since when that is so."""

    async def run(self) -> None:
        while True:
            try:
                await self.renew()
                self._outage.over()
                self._note(reachable=True)
            except ApiError as err:
                self._outage.failed(err)
                self._note(reachable=False)
            await self._clock.sleep(PERIOD)

    def _note(self, *, reachable: bool) -> None:
        if self.reachable is reachable:
            return
        was_away = self.reachable is False
        self.reachable, self.since = reachable, self._clock.now()
        if was_away:
            for tell in self._on_back:
                tell()

    async def renew(self) -> None:
        spec: Obj = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": DURATION,
            "renewTime": format_micro_time(self._clock.now()),
        }
        try:
            await self._client.patch(LEASE, Key(NAMESPACE, self._name), {"spec": spec})
        except NotFound:
            meta = {"name": self._name, "namespace": NAMESPACE}
            lease = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": meta}
            with contextlib.suppress(AlreadyExists):  # made in between: the next renewal has it
                await self._client.create(LEASE, lease | {"spec": spec})
