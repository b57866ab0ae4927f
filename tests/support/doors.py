"""Doors: every call of an agent to the outside counts, and at one of them something goes wrong.

    doors = Doors(at=7, when="after")            # the agent dies when the 7th call is done...
    doors = Doors(at=7, error=broken)            # ...or that call fails, and all others work
    async with running_node(..., api=doors.api(api), runtime=doors.wrap(runtime)) as node:
        await doors.reached(...)

A dead agent's calls never return (those to the API fail, which comes to the same); its tasks are
cancelled when the test leaves the node.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from edgek.api.errors import ServiceUnavailable
from edgek.client.transport import Call
from tests.support.memory_api import MemoryApi


class Doors:
    """``error`` makes the exception for the name of a call; without it the agent dies."""

    def __init__(
        self, *, at: int, when: str = "before", error: Callable[[str], Exception] | None = None
    ) -> None:
        self.at, self.when, self.error = at, when, error
        self.passed: list[str] = []
        self.reached = asyncio.Event()
        """Set when it has gone wrong."""

    def _count(self, what: str) -> bool:
        """Whether it goes wrong here."""
        self.passed.append(what)
        here = len(self.passed) - 1 == self.at
        if here:
            self.reached.set()
        return here

    async def _enter(self, what: str) -> bool:
        """Whether the call is done, but never returns."""
        if self.error is None and self.reached.is_set():
            await asyncio.Event().wait()
        if not self._count(what):
            return False
        if self.error is not None:
            raise self.error(what)
        if self.when == "before":
            await asyncio.Event().wait()
        return True

    def function(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **named: Any) -> Any:
            last = await self._enter(name)
            answer = await inner(*args, **named)
            if last:
                await asyncio.Event().wait()
            return answer

        return call

    def wrap(self, inner: Any) -> Any:
        return _Wrapped(self, inner)

    def api(self, api: MemoryApi) -> MemoryApi:
        """The same one; takes effect on writes, but for events, which nobody waits for."""
        (api.before if self.when == "before" else api.after).append(self._on_call)
        return api

    def _on_call(self, call: Call) -> None:
        if call.method == "GET" or "/events" in call.path:
            return
        dead = self.error is None and self.reached.is_set()
        if dead or self._count(f"{call.method} {call.path}"):
            raise ServiceUnavailable("no server in reach")


class _Wrapped:
    def __init__(self, doors: Doors, inner: Any) -> None:
        self._doors, self._inner = doors, inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "setup" or not inspect.iscoroutinefunction(found):
            return found  # the network is set up before there is an agent
        return self._doors.function(name, found)
