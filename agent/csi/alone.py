"""One step at a time for one volume: a lock by (driver, handle), gone when nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Key = tuple[str, str]


class Alone:
    def __init__(self) -> None:
        self._locks: dict[Key, tuple[asyncio.Lock, list[object]]] = {}

    @asynccontextmanager
    async def with_(self, key: Key) -> AsyncIterator[None]:
        lock, users = self._locks.setdefault(key, (asyncio.Lock(), []))
        me = object()
        users.append(me)
        try:
            async with lock:
                yield
        finally:
            users.remove(me)
            if not users:
                self._locks.pop(key, None)
