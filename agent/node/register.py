"""Keeps this machine's Node object as it is to be: made when missing, patched when it differs.

It looks when something changed (the object, the machine's health), never by the clock; only an
unreachable server is tried again, with growing pauses.
"""

import asyncio
import logging
import random
from dataclasses import replace
from typing import Any

from agent.node.happened import plan_happened, reference, schedulable
from agent.node.status import NodeSpec, make_node, plan_labels, plan_status, was_ready
from edgek.aio.clock import Clock
from edgek.aio.outage import Outage
from edgek.api.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    NotFound,
    ServiceUnavailable,
    Timeout,
)
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.control.events import Source
from edgek.kinds import NODE

log = logging.getLogger(__name__)

FIRST_DELAY, MAX_DELAY = 0.5, 30.0
STARTING = "the agent is starting"


class Registration:
    def __init__(
        self, client: Client, spec: NodeSpec, *, clock: Clock, events: Source | None = None
    ) -> None:
        self._client = client
        self._spec = spec
        self._clock = clock
        self._events = events
        self._cordoned = False
        self._wake = asyncio.Event()
        self._started = False
        self._problems: dict[str, str] = {}
        self._wake.set()

    def started(self) -> None:
        """All of the agent is up: from now on the node is ready but for problems."""
        self._started = True
        self._wake.set()

    def update(self, **changes: Any) -> None:
        """Fields of the NodeSpec that are others now; written if the Node object differs."""
        new = replace(self._spec, **changes)
        if new != self._spec:
            self._spec = new
            self._wake.set()

    def set_problem(self, source: str, problem: str) -> None:
        """Why the node is not ready, as far as ``source`` can tell; "" where it is."""
        if problem != self._problems.get(source, ""):
            self._problems[source] = problem
            self._wake.set()

    def problems(self) -> list[str]:
        return [problem for problem in self._problems.values() if problem]

    def _problem(self, node: Obj) -> str:
        found = ", ".join(p for p in self._problems.values() if p)
        if found or self._started or was_ready(node, self._spec):
            return found
        return STARTING

    def look_again(self) -> None:
        """The server may call the node silent: it is back before our watch of it is."""
        self._wake.set()

    def on_change(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler: our Node was changed or deleted."""
        obj = new or old
        if obj is not None and obj["metadata"]["name"] == self._spec.name:
            self._wake.set()

    async def run(self) -> None:
        delay = FIRST_DELAY
        outage = Outage(log, f"registration of node {self._spec.name}")
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.ensure()
                delay = FIRST_DELAY
                outage.over()
            except ApiError as err:
                outage.failed(err, known=isinstance(err, Conflict | ServiceUnavailable | Timeout))
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
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
        problem = self._problem(node)
        patch = plan_status(node, self._spec, problem=problem, clock=self._clock)
        if patch:
            await self._client.patch(NODE, key, patch, subresource="status")
        self._tell(node, patch)

    def _tell(self, node: Obj, patch: Obj) -> None:
        if self._events is None:
            return
        about = reference(self._spec.name)
        cordon = schedulable(node, before=self._cordoned)
        if cordon is not None:
            self._cordoned = not self._cordoned
        for found in (*([cordon] if cordon else ()), *plan_happened(node, patch)):
            tell = self._events.warning if found.warning else self._events.normal
            tell(about, found.reason, found.message)

    async def _create(self) -> Obj:
        try:
            node = await self._client.create(NODE, make_node(self._spec))
        except AlreadyExists:
            return await self._client.get(NODE, Key("", self._spec.name))
        log.info("node registered name=%s", self._spec.name)
        return node
