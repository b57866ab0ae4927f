"""Exits: container ids handed to everyone who iterates, without loss and without growth.

A reader that is slow sees an id once however often it was published meanwhile, so what waits
for it is bounded by the number of containers.
"""

import asyncio
import weakref
from typing import Self


class Exits:
    def __init__(self) -> None:
        # Weak: an iterator that its owner dropped, without closing it, must not collect for ever.
        self._readers: weakref.WeakSet[ExitIterator] = weakref.WeakSet()

    def publish(self, container_id: str) -> None:
        for reader in self._readers:
            reader.put(container_id)

    def subscribe(self) -> "ExitIterator":
        """Sees everything published from this call on, even before it is first iterated."""
        reader = ExitIterator()
        self._readers.add(reader)
        return reader


class ExitIterator:
    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._some = asyncio.Event()

    def put(self, container_id: str) -> None:
        self._waiting[container_id] = None
        self._some.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        await self._some.wait()
        container_id = next(iter(self._waiting))
        del self._waiting[container_id]
        if not self._waiting:
            self._some.clear()
        return container_id
