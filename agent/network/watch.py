"""Calls when the machine's addresses or routes have changed, and have settled."""

import asyncio
from collections.abc import Callable

from netplug.changes import Changes

SETTLE_SECONDS = 1.0
"""A DHCP client removes the old address before it adds the new one; and each pod that comes or
goes changes a route too."""


class AddressWatch:
    """``on_change`` is called in the event loop, at most once in SETTLE_SECONDS."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._changes = Changes()
        self._timer: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(self._changes.fileno(), self._told)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._changes.fileno())
        self._changes.close()
        if self._timer is not None:
            self._timer.cancel()

    def _told(self) -> None:
        self._changes.drain()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._on_change()
