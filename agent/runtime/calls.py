"""Calls: short requests to Podman, so many at a time and each with an end.

Their errors come out as RuntimeFailure (failure.py). One that takes long is told of: it may be the
sign of a Podman that hangs.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from agent.runtime.failure import translated
from agent.runtime.libpod import Libpod

AT_ONCE = 8
"""Short calls under way; more at a time make Podman no faster."""
CALL_SECONDS = 60.0
SLOW_SECONDS = 5.0


class Calls:
    """``on_slow`` is told when a call takes long, as it does where Podman hangs."""

    def __init__(self, raw: Libpod) -> None:
        self._raw = raw
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.on_slow: Callable[[], None] = lambda: None

    async def ask(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        """What Podman answers, read as JSON; None where it answers nothing."""
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, lambda: self.on_slow())
        try:
            async with self._slots:
                data = await self.lasting(method, path, params=params, body=body)
        finally:
            slow.cancel()
        return json.loads(data) if data else None

    async def lasting(
        self, method: str, path: str, *, timeout: float = CALL_SECONDS, **what: Any
    ) -> bytes:
        """One that may take its time, and so takes no slot from the short ones."""
        with translated(f"{method} {path}"):
            return await self._raw.call(method, path, timeout=timeout, **what)
