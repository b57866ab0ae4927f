"""pods/NAME/portforward: a client's connections to a pod, each a tunnel's stream of its own.

Three forms, one for each generation of clients: SPDY, SPDY's frames inside a WebSocket, and a
WebSocket with two channels a port. As registry/core/pod/rest/subresources.go and
k8s.io/kubelet portforward. ``forward`` is one connection, whichever form it came in.
"""

from asyncio import Semaphore, TaskGroup
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

from edgek.api.errors import ApiError, BadRequest
from edgek.api.meta import Obj, get_path, name, uid
from server.endpoints.subresources.backend import Backend
from server.endpoints.subresources.raw import RawStream
from server.endpoints.subresources.subprotocol import (
    SPDY,
    STREAM_VERSION,
    Dialect,
    offered,
    offered_streams,
    upgrade_required,
    wants_spdy,
    wants_websocket,
)
from server.request.model import ByteStream, RawUpgrade, Request, Response, Upgrade, WebSocket

PROTOCOL = "portforward.k8s.io"
TUNNELLED = f"{SPDY}+{PROTOCOL}"
CHANNELS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io", "")
MAX_PORTS = 64
DIALS = 16
"""Being made at once for one client; the others wait, rather than that all of them are late."""


class Client(Protocol):
    """The client's end of one connection."""

    async def read(self) -> bytes:
        """``b""`` at the end. Raises OSError where it broke off."""

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None:
        """The pod sends nothing more."""

    async def fail(self, words: str) -> None:
        """Why there is no connection."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The pod, and who leads to it."""

    backend: Backend
    node: str
    pod_name: str
    pod_uid: str
    turns: Semaphore = field(default_factory=lambda: Semaphore(DIALS))

    async def dial(self, port: int) -> RawStream:
        params = {"podUID": self.pod_uid, "port": port}
        async with self.turns:
            return RawStream(await self.backend.open(self.node, "portforward", params))


async def handle(request: Request, pod: Obj, backend: Backend) -> Response:
    node = get_path(pod, "spec", "nodeName", default="")
    if not node:
        raise BadRequest(f"pod {name(pod)} does not have a host assigned")
    target = Target(backend=backend, node=node, pod_name=name(pod), pod_uid=uid(pod))
    answer = _answer(request, target)
    backend.check(node)
    return answer


def _answer(request: Request, target: Target) -> Response:
    if wants_spdy(request):
        headers = {STREAM_VERSION: offered_streams(request, (PROTOCOL,))}

        async def serve(connection: ByteStream) -> None:
            from server.endpoints.subresources.spdy_ports import forward_session

            await forward_session(connection, target)

        return Response(raw_upgrade=RawUpgrade(protocol=SPDY, headers=headers, serve=serve))
    if not wants_websocket(request):
        raise upgrade_required()
    protocol = offered(request, (TUNNELLED, *CHANNELS))
    talk = _tunnelled(target) if protocol == TUNNELLED else _channels(request, target, protocol)
    return Response(upgrade=Upgrade(protocol=protocol, serve=talk))


def _tunnelled(target: Target) -> Callable[[WebSocket], Awaitable[None]]:
    async def serve(socket: WebSocket) -> None:
        from server.endpoints.subresources.spdy_ports import forward_session

        await forward_session(_Within(socket), target)

    return serve


def _channels(
    request: Request, target: Target, protocol: str
) -> Callable[[WebSocket], Awaitable[None]]:
    ports = read_ports(request.raw_query)

    async def serve(socket: WebSocket) -> None:
        from server.endpoints.subresources.channel_ports import forward_channels

        await forward_channels(socket, Dialect(protocol), target, ports)

    return serve


def read_ports(raw_query: str) -> list[int]:
    """As portforward NewV4Options, of the parameter ``ports``. Raises BadRequest."""
    texts = parse_qs(raw_query, keep_blank_values=True).get("ports", [])
    if not texts:
        raise BadRequest('query parameter "port" is required')
    ports = []
    for text in ",".join(texts).split(","):
        if not text:
            raise BadRequest('query parameter "port" cannot be empty')
        if (port := read_port(text)) is None:
            raise BadRequest(f'unable to parse "{text[:40]}" as a port')
        ports.append(port)
    if len(ports) > MAX_PORTS:
        raise BadRequest(f"at most {MAX_PORTS} ports can be forwarded over one connection")
    return ports


def read_port(text: str) -> int | None:
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return port if 0 < port < 65536 else None


async def forward(client: Client, target: Target, port: int) -> None:
    """Until both directions have ended, or one side breaks off."""
    try:
        raw = await target.dial(port)
    except ApiError as err:
        await client.fail(
            f"error forwarding port {port} to pod {target.pod_name}, uid {target.pod_uid}: "
            f"{err.message}"
        )
        return
    try:
        async with TaskGroup() as ways:
            ways.create_task(_inwards(client, raw))
            ways.create_task(_outwards(client, raw))
    finally:
        await raw.close()


async def _inwards(client: Client, raw: RawStream) -> None:
    while data := await client.read():
        await raw.write(data)
    await raw.write_eof()


async def _outwards(client: Client, raw: RawStream) -> None:
    while data := await raw.read():
        await client.write(data)
    await client.end()


class _Within:
    """The binary messages of a WebSocket as one stream of bytes."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while (message := await self._socket.receive()) is not None:
            if message:
                return message.encode() if isinstance(message, str) else message
        return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send(data)

    async def close(self) -> None:
        await self._socket.close()
