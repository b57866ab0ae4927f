"""Streams of kind dial: a TCP connection to a pod's own address, for pods/proxy and services/proxy.

Only to addresses of pods that run here, and of those only what the pod itself has: a caller who
may use the proxy must not reach the rest of the node's network by it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from agent.api.raw import join
from agent.api.stream import Handler, Socket
from edgek.api.errors import BadRequest, NotFound, ServiceUnavailable
from edgek.api.meta import Obj

SECONDS = 8.0
"""Below what the server waits for the answer."""


def dial_handler(pod_of: Callable[[str], Obj | None], address_of: Callable[[str], str]) -> Handler:
    """``pod_of`` gives a pod of this node by its uid, ``address_of`` the address that this node
    gave it, "" where it has none."""

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        pod_uid, port = str(params.get("podUID") or ""), params.get("port")
        if not isinstance(port, int) or not 0 < port < 65536:
            raise BadRequest(f"not a port: {str(port)[:20]}")
        if pod_of(pod_uid) is None:
            raise NotFound(f'pod with uid "{pod_uid[:40]}" not found')
        address = address_of(pod_uid)
        if not address:
            raise ServiceUnavailable("the pod has no address")
        reader, writer = await _connect(address, port)
        await join(socket, reader, writer)

    return handle


async def _connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises ServiceUnavailable in the words of Go's dialer."""
    where = f"dial tcp {address}:{port}: "
    try:
        async with asyncio.timeout(SECONDS):
            return await asyncio.open_connection(address, port)
    except TimeoutError as err:
        raise ServiceUnavailable(f"{where}i/o timeout") from err
    except ConnectionRefusedError as err:
        raise ServiceUnavailable(f"{where}connect: connection refused") from err
    except OSError as err:
        why = (err.strerror or str(err)).lower()
        raise ServiceUnavailable(f"{where}connect: {why}") from err
