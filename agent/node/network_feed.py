"""Hands services, their endpoints and the nodes to the network, whole, whenever they change.

Until the server has answered, the checkpoint's lists stand in for the informers'.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.network import Network, NetworkFailure, NodeNetwork
from agent.node.checkpoint import Checkpoint
from edgek.aio.outage import Outage
from edgek.api.meta import Obj, name
from edgek.control.informer import Informer, Informers
from edgek.kinds import ENDPOINT_SLICE, NODE, SERVICE

log = logging.getLogger(__name__)

RETRY = 5.0


class Followed:
    """One kind's objects: the informer's, or those remembered until it has them."""

    def __init__(self, informer: Informer, section: str, checkpoint: Checkpoint) -> None:
        self.informer = informer
        self._remembered = checkpoint.load(section)
        checkpoint.provide(section, self.list)

    def list(self) -> list[Obj]:
        return self.informer.list() if self.informer.synced.is_set() else self._remembered

    def known(self) -> bool:
        """Whether the list is one, and not empty because nobody has told anything yet."""
        return self.informer.synced.is_set() or bool(self._remembered)


async def set_up_network(
    network: Network, node: NodeNetwork, *, told: Callable[[str], None]
) -> None:
    """Until it works: a machine that is slow, or still coming up, ends neither the agent nor a
    server beside it. ``told`` gets what is wrong, and "" when nothing is any more."""
    outage = Outage(log, "set-up of the node's network")
    while True:
        try:
            await network.setup(node)
        except NetworkFailure as err:
            outage.failed(err)
            told(f"network: {err}")
            await asyncio.sleep(RETRY)
        else:
            outage.over()
            told("")
            return


class NetworkFeed:
    def __init__(self, network: Network, informers: Informers, checkpoint: Checkpoint) -> None:
        self._network = network
        self._checkpoint = checkpoint
        self.services = Followed(informers.get(SERVICE), "services", checkpoint)
        self.slices = Followed(informers.get(ENDPOINT_SLICE), "slices", checkpoint)
        self.nodes = Followed(informers.get(NODE), "nodes", checkpoint)
        self._services_changed = asyncio.Event()
        self._nodes_changed = asyncio.Event()
        for followed, section, event in (
            (self.services, "services", self._services_changed),
            (self.slices, "slices", self._services_changed),
            (self.nodes, "nodes", self._nodes_changed),
        ):
            event.set()
            followed.informer.on_change(self._marker(section, event))

    def _marker(
        self, section: str, event: asyncio.Event
    ) -> Callable[[Obj | None, Obj | None], None]:
        def changed(old: Obj | None, new: Obj | None) -> None:
            event.set()
            self._checkpoint.mark(section)

        return changed

    def node(self, node_name: str) -> Obj | None:
        """That Node object as it is known now."""
        return next((n for n in self.nodes.list() if name(n) == node_name), None)

    def look_again(self) -> None:
        """The network was set up anew: it is told all of it once more."""
        self._services_changed.set()
        self._nodes_changed.set()

    async def run_services(self) -> None:
        async def apply() -> None:
            # Half of a first list would take the other half's rules away.
            if self.services.informer.synced.is_set():
                await self.slices.informer.wait_synced()
            await self._network.set_services(self.services.list(), self.slices.list())

        await self._loop(self._services_changed, apply)

    async def run_nodes(self) -> None:
        await self._loop(self._nodes_changed, lambda: self._network.set_nodes(self.nodes.list()))

    async def _loop(self, event: asyncio.Event, apply: Callable[[], Awaitable[None]]) -> None:
        """One run for however many changes came while the one before was under way."""
        outage = Outage(log, "update of the network")
        while True:
            await event.wait()
            event.clear()
            await asyncio.sleep(0)  # a list arrives object by object
            try:
                await apply()
                outage.over()
            except NetworkFailure as err:
                outage.failed(err)
                event.set()
                await asyncio.sleep(RETRY)
