"""The transport of the control loops that live in the server: ``handle`` without a socket.

Same filters, same admission; no HTTP and no JSON round trip. Lists and watches hand over the
store's own dicts: receivers must not mutate them, and find no managedFields in them, which would
be much of the memory. Single objects come whole. Bodies given are copied before use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.client.transport import Call, WatchEvent
from server.request.model import Handler, Request, Response, User


class InProcessTransport:
    """Calls ``handle`` as ``user``."""

    def __init__(self, handle: Handler, user: User) -> None:
        self._handle = handle
        self._user = user

    async def call(self, call: Call) -> Obj:
        try:
            async with asyncio.timeout(call.timeout):
                response = await self._handle(self._request(call))
        except TimeoutError as err:
            raise errors.Timeout(f"no answer within {call.timeout:.0f} s") from err
        return _object(response)

    def watch(self, call: Call) -> Any:
        return self._watch(call)

    @asynccontextmanager
    async def _watch(self, call: Call) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        response = await self._handle(self._request(call))
        if response.watch is None:
            raise errors.from_status(_object(response))
        stream: Any = response.watch
        events = _events(stream)
        try:
            yield events
        finally:
            await events.aclose()
            await stream.aclose()

    def _request(self, call: Call) -> Request:
        return Request(
            method=call.method,
            path=call.path,
            query=call.query,
            headers={"content-type": call.content_type},
            # Ours to mutate: the caller keeps the object, and the cache may share it.
            body=orjson.loads(orjson.dumps(call.body)) if call.body is not None else None,
            in_process=True,
            user=self._user,
        )

    async def close(self) -> None:
        """Nothing to release."""


def _object(response: Response) -> Obj:
    obj: Obj = response.obj if response.obj is not None else orjson.loads(response.body or b"{}")
    if response.status >= 400:
        raise errors.from_status(obj, code=response.status)
    return obj


async def _events(stream: Any) -> Any:
    async for chunk in stream:
        for event, _ in chunk:
            if event is None:
                continue
            if event.type == "ERROR":
                raise errors.from_status(event.obj)
            yield event
