"""The node's own object, asked for anew where what is known of it may be old."""

import asyncio

from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import NODE

SECONDS = 5.0


async def ask_node(client: Client, name: str) -> Obj | None:
    """None where the server does not answer soon, or does not know the node."""
    try:
        async with asyncio.timeout(SECONDS):
            return await client.get(NODE, Key("", name))
    except (ApiError, OSError, TimeoutError):
        return None
