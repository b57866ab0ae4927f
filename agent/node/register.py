"""Keeps this machine's Node object as it is to be: made when missing, patched when it differs.

It looks when something changed (the object, the machine's health), never by the clock; only an
unreachable server is tried again, with growing pauses.
"""

import asyncio
import logging

from agent.node.status import NodeSpec, make_node, plan_labels, plan_status
from edgek.aio.clock import Clock
from edgek.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import NODE

log = logging.getLogger(__name__)

FIRST_DELAY, MAX_DELAY = 0.5, 30.0


class Registration:
    def __init__(self, client: Client, spec: NodeSpec, *, clock: Clock) -> None:
        self._client = client
        self._spec = spec
        self._clock = clock
        self._wake = asyncio.Event()
        self._problem = "the agent is starting"
        self._wake.set()

    def set_problem(self, problem: str) -> None:
        """Why the node is not ready; "" where it is."""
        if problem != self._problem:
            self._problem = problem
            self._wake.set()

    def on_change(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler: our Node was changed or deleted."""
        obj = new or old
        if obj is not None and obj["metadata"]["name"] == self._spec.name:
            self._wake.set()

    async def run(self) -> None:
        delay = FIRST_DELAY
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.ensure()
                delay = FIRST_DELAY
            except ApiError as err:
                if not isinstance(err, Conflict):
                    log.warning("node not registered name=%s err=%s", self._spec.name, err)
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_DELAY)
                self._wake.set()

    async def ensure(self) -> None:
        key = Key("", self._spec.name)
        try:
            node = await self._client.get(NODE, key)
        except NotFound:
            node = await self._create()
        if patch := plan_labels(node, self._spec):
            node = await self._client.patch(NODE, key, patch)
        if patch := plan_status(node, self._spec, problem=self._problem, clock=self._clock):
            await self._client.patch(NODE, key, patch, subresource="status")

    async def _create(self) -> Obj:
        try:
            node = await self._client.create(NODE, make_node(self._spec))
        except AlreadyExists:
            return await self._client.get(NODE, Key("", self._spec.name))
        log.info("node registered name=%s", self._spec.name)
        return node
