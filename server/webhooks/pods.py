"""Sockets into pods, for the door: the other end is a stream through the tunnel of the pod's node.

Agents only dial out, so the server may have no route to a pod. What is made here is an ordinary
socket, over which the door speaks TLS and HTTP as over any other: nobody on the way can read it.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable
from typing import Protocol

from edgek.aio.tasks import Tasks, until_one_ends
from edgek.api.errors import ApiError
from server.request.model import ByteStream
from server.webhooks.where import Address

CHUNK = 64 * 1024


class PodDialer(Protocol):
    def leads_to(self, node: str) -> bool:
        """Whether that node's agent is connected."""

    def dial(self, node: str, pod_uid: str, port: int) -> Awaitable[ByteStream]:
        """A connection to a port of a pod's own address. Raises ApiError."""


class PodSockets:
    """Owns what runs behind the sockets it gave away; ``close`` ends all of them."""

    def __init__(self, dialer: PodDialer) -> None:
        self._dialer = dialer
        self._tasks = Tasks("pod-sockets")

    def leads_to(self, address: Address) -> bool:
        return bool(address.pod_uid) and self._dialer.leads_to(address.node)

    async def connect(self, address: Address) -> socket.socket:
        """Raises OSError, whose text says why."""
        try:
            stream = await self._dialer.dial(address.node, address.pod_uid, address.port)
        except ApiError as err:
            raise OSError(errno.EHOSTDOWN, err.message) from err
        ours, theirs = socket.socketpair()
        try:
            theirs.setblocking(False)
            self._tasks.spawn(_join(ours, stream), name=f"{address.host}:{address.port}")
        except BaseException:
            ours.close()
            theirs.close()
            await stream.close()
            raise
        return theirs

    async def close(self) -> None:
        await self._tasks.close()


async def _join(ours: socket.socket, stream: ByteStream) -> None:
    """Until either side ends. HTTP never ends one direction alone."""
    reader, writer = await asyncio.open_connection(sock=ours)

    async def to_pod() -> None:
        while data := await reader.read(CHUNK):
            await stream.write(data)

    async def from_pod() -> None:
        while data := await stream.read():
            writer.write(data)
            await writer.drain()

    try:
        await until_one_ends(to_pod(), from_pod())
    finally:
        writer.close()
        await stream.close()
