"""Waiting for one object: look, then watch from there; nothing is polled."""

import asyncio
from collections.abc import AsyncIterator, Callable

from edgek.api.errors import Expired
from edgek.api.meta import Key, Obj
from edgek.cli.cluster import Cluster
from edgek.kinds.kind import Kind

Test = Callable[[Obj | None], bool]
"""Given the object, or None where there is none."""


async def wait_for(
    cluster: Cluster, kind: Kind, key: Key, *, done: Test, seconds: float | None
) -> None:
    """Raises TimeoutError after ``seconds``; None waits for ever."""
    async with asyncio.timeout(seconds):
        async for obj in states(cluster, kind, key):
            if done(obj):
                return


async def states(cluster: Cluster, kind: Kind, key: Key) -> AsyncIterator[Obj | None]:
    """The object as it is, and again after each change."""
    only = f"metadata.name={key.name}"
    while True:
        client = cluster.client
        found = await client.list(kind, namespace=key.namespace, field_selector=only)
        yield found.items[0] if found.items else None
        watch = client.watch(
            kind,
            namespace=key.namespace,
            resource_version=found.resource_version,
            field_selector=only,
        )
        try:
            async with watch as events:
                async for event in events:
                    if event.type != "BOOKMARK":
                        yield None if event.type == "DELETED" else event.obj
        except Expired:
            continue
