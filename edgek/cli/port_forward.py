"""``edgek port-forward``: ports of this machine that lead into a pod.

Speaks v4.channel.k8s.io, a WebSocket for each connection: its first two messages give the port,
then channel 0 is data and channel 1 says what went wrong. That protocol has no half-close: what
the pod still says after our end is passed on for a while.
"""

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

import click

from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj, get_path
from edgek.cli.cluster import Cluster, Failure, cluster_command, note
from edgek.cli.pods import find_pod
from edgek.cli.targets import find_one
from edgek.kinds import POD, SERVICE

if TYPE_CHECKING:
    from edgek.client.websocket import WebSocket

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
LAST_WORDS_SECONDS = 30.0
_CHUNK = 32 * 1024


@click.command("port-forward")
@click.argument("words", nargs=-1, metavar="POD | KIND/NAME [LOCAL:]PORT...")
@click.option("--address", default="127.0.0.1", metavar="IP", help="Listen on this address.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], address: str) -> None:
    """Lead ports of this machine into a pod: `port-forward service/web 8080:80`."""
    if len(words) < 2:
        raise Failure("name a pod and a port: edgek port-forward POD 8080:80")
    kind, name = await find_one(cluster, words[:1], kind="pods")
    pod = await find_pod(cluster, words[:1])
    service = None
    if kind == SERVICE:
        service = await cluster.client.get(kind, Key(cluster.namespace, name))
    pairs = [read_pair(text, pod, service) for text in words[1:]]
    async with contextlib.AsyncExitStack() as stack:
        for local, remote in pairs:
            forwarder = _Forwarder(cluster, pod, remote)
            server = await asyncio.start_server(forwarder.serve, address, local)
            await stack.enter_async_context(server)
            port = server.sockets[0].getsockname()[1]
            click.echo(f"Forwarding from {address}:{port} -> {remote}")
        await asyncio.Event().wait()


def read_pair(text: str, pod: Obj, service: Obj | None) -> tuple[int, int]:
    """LOCAL:PORT, PORT or :PORT (any that is free), the port by number or name. Pure."""
    found = re.fullmatch(r"(?:(\d{0,5}):)?([\w-]{1,63})", text, re.ASCII)
    if found is None:
        raise Failure(f"{text!r} is no port: use PORT or LOCAL:PORT")
    local, wanted = found[1], found[2]
    remote = _of_service(wanted, pod, service) if service is not None else _of_pod(wanted, pod)
    if local is None:
        local = wanted if wanted.isdigit() else str(remote)
    if not 0 < remote < 65536 or int(local or 0) > 65535:
        raise Failure(f"{text!r}: a port is from 1 to 65535")
    return int(local or 0), remote


def _of_service(wanted: str, pod: Obj, service: Obj) -> int:
    """As kubectl: where the service's port leads to in the pod."""
    for port in get_path(service, "spec", "ports") or ():
        if wanted in (str(port["port"]), port.get("name")):
            if get_path(service, "spec", "clusterIP") == "None":
                return int(port["port"])
            return _of_pod(str(port.get("targetPort") or port["port"]), pod)
    raise Failure(f"service {service['metadata']['name']} has no port {wanted}")


def _of_pod(wanted: str, pod: Obj) -> int:
    if wanted.isdigit():
        return int(wanted)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
    raise Failure(f"pod {pod['metadata']['name']} has no port named {wanted}")


class _Forwarder:
    def __init__(self, cluster: Cluster, pod: Obj, port: int) -> None:
        self._cluster, self._port = cluster, port
        self._path = POD.path(pod["metadata"]["namespace"], pod["metadata"]["name"], "portforward")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = (("ports", str(self._port)),)
        try:
            async with self._cluster.transport.websocket(
                self._path, query=query, protocols=(PROTOCOL,)
            ) as socket:
                sending = asyncio.create_task(_send(reader, socket))
                try:
                    await _receive(socket, writer)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        except (ApiError, OSError) as err:
            note(f"port {self._port}: {err}")
        finally:
            writer.close()


async def _send(reader: asyncio.StreamReader, socket: "WebSocket") -> None:
    while data := await reader.read(_CHUNK):
        await socket.send(bytes([DATA]) + data)
    await asyncio.sleep(LAST_WORDS_SECONDS)
    await socket.close()


async def _receive(socket: "WebSocket", writer: asyncio.StreamWriter) -> None:
    heads = 2
    async for message in socket:
        data = message if isinstance(message, bytes) else message.encode()
        if heads:
            heads -= 1
        elif data[:1] == bytes([ERROR]):
            note(data[1:].decode(errors="replace"))
        elif data[:1] == bytes([DATA]):
            writer.write(data[1:])
            await writer.drain()
