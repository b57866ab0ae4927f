"""Streams of kind portforward: a TCP connection to localhost within a pod's network."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from agent.api.raw import join
from agent.api.stream import Handler, Socket
from agent.network import Network, NetworkFailure
from edgek.api.errors import BadRequest, InternalError, NotFound
from edgek.api.meta import Obj


def port_forward_handler(network: Network, pod_of: Callable[[str], Obj | None]) -> Handler:
    """``pod_of`` gives a pod of this node by its uid."""

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        pod_uid, port = str(params.get("podUID") or ""), params.get("port")
        if not isinstance(port, int) or not 0 < port < 65536:
            raise BadRequest(f"not a port: {str(port)[:20]}")
        pod = pod_of(pod_uid)
        if pod is None:
            raise NotFound(f'pod with uid "{pod_uid[:40]}" not found')
        own_network = not pod["spec"].get("hostNetwork")
        try:
            connected = await network.connect(pod_uid if own_network else "", port)
        except NetworkFailure as err:
            raise InternalError(str(err)) from err
        reader, writer = await asyncio.open_connection(sock=connected)
        await join(socket, reader, writer)

    return handle
