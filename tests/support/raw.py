"""Requests as they come from HTTP, and watches as lines, without a socket in between."""

import asyncio
from typing import Any

import orjson

from edgek.api.meta import Obj
from server.app import Api
from server.request.model import Request, Response

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


def decoded(response: Response) -> Obj:
    obj: Obj = response.obj if response.obj is not None else orjson.loads(response.body or b"")
    return obj


async def get(api: Api, path: str, *, accept: str = "application/json", **query: str) -> Obj:
    """The answer's body, whatever its code."""
    request = Request(method="GET", path=path, query=query, headers={"accept": accept})
    return decoded(await api.handle(request))


class Watching:
    """A watch of a path: its events one by one, as a client reads them."""

    def __init__(self, response: Response) -> None:
        assert response.watch is not None, decoded(response)
        self._watch: Any = response.watch
        self._pending: list[Obj] = []

    @classmethod
    async def of(
        cls, api: Api, path: str, *, accept: str = "application/json", **query: str
    ) -> "Watching":
        query = {"watch": "1", **query}
        request = Request(method="GET", path=path, query=query, headers={"accept": accept})
        return cls(await api.handle(request))

    async def next(self) -> Obj:
        """Raises StopAsyncIteration at the end, TimeoutError where nothing comes."""
        while not self._pending:
            async with asyncio.timeout(5):
                chunk = await anext(self._watch)
            lines = b"".join(line for _, line in chunk).splitlines()
            self._pending = [orjson.loads(line) for line in lines]
        return self._pending.pop(0)

    async def some(self, count: int) -> list[tuple[str, str]]:
        """(type, name) of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]

    async def ends(self) -> bool:
        try:
            await self.next()
        except StopAsyncIteration:
            return True
        return False

    async def close(self) -> None:
        await self._watch.aclose()


def watchers_of(api: Api, prefix: str) -> int:
    """How many watchers the store tells of changes of that kind."""
    return sum(len(found) for found in api.store._section(prefix)._watchers.values())
