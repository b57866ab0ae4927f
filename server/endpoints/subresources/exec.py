"""pods/NAME/exec and pods/NAME/attach: a client's connection and an agent's stream, joined.

The agent speaks v5.channel.k8s.io, so for most clients messages pass unread; ``Dialect`` does
the rest, and spdy_exec.py is for those who speak SPDY. The agent's verdict comes before the
upgrade, so that what fails at once fails as an ordinary HTTP answer. As
registry/core/pod/rest/subresources.go.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from edgek.aio.tasks import until_one_ends
from edgek.api.errors import BadRequest
from edgek.api.meta import Obj, get_path, name, uid
from edgek.kinds.pod_containers import choose_container, running_container_id
from server.endpoints.query import flag
from server.endpoints.subresources.backend import Backend, Stream
from server.endpoints.subresources.session_messages import session_messages
from server.endpoints.subresources.subprotocol import (
    CHANNELS,
    SPDY,
    SPDY_STREAMS,
    STREAM_VERSION,
    Dialect,
    offered,
    offered_streams,
    upgrade_required,
    wants_spdy,
    wants_websocket,
)
from server.request.model import (
    ByteStream,
    RawUpgrade,
    Request,
    Response,
    Upgrade,
    WebSocket,
)


async def handle(request: Request, pod: Obj, backend: Backend) -> Response:
    command = parse_qs(request.raw_query, keep_blank_values=True).get("command", [])
    if not command:
        raise BadRequest("you must specify at least one command for the container")
    return await _join(request, pod, backend, kind="exec", command=command)


async def handle_attach(request: Request, pod: Obj, backend: Backend) -> Response:
    return await _join(request, pod, backend, kind="attach", command=())


async def _join(
    request: Request, pod: Obj, backend: Backend, *, kind: str, command: Sequence[str]
) -> Response:
    params: dict[str, Any] = {
        stream: flag(request.query, stream) for stream in ("stdin", "stdout", "stderr", "tty")
    }
    if not (params["stdin"] or params["stdout"] or params["stderr"]):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    if params["tty"]:
        params["stderr"] = False  # a terminal has one output
    container = choose_container(pod, request.query.get("container", ""))
    node = get_path(pod, "spec", "nodeName", default="")
    if not node:
        raise BadRequest(f"pod {name(pod)} does not have a host assigned")
    upgrade = _upgrade_of(request, params)
    params |= {
        "podUID": uid(pod),
        "containerID": running_container_id(pod, container),
        "command": list(command),
    }
    return upgrade(await backend.open(node, kind, params))


def _upgrade_of(request: Request, params: Mapping[str, Any]) -> Callable[[Stream], Response]:
    """What the answer will be, once there is a stream. Raises BadRequest."""
    if wants_websocket(request):
        return partial(_over_websocket, offered(request, CHANNELS))
    if wants_spdy(request):
        return partial(_over_spdy, offered_streams(request, SPDY_STREAMS), params)
    raise upgrade_required()


def _over_websocket(protocol: str, stream: Stream) -> Response:
    async def serve(socket: WebSocket) -> None:
        await relay(socket, stream, Dialect(protocol))

    return Response(upgrade=Upgrade(protocol=protocol, serve=serve, abandon=stream.close))


def _over_spdy(protocol: str, params: Mapping[str, Any], stream: Stream) -> Response:
    async def serve(connection: ByteStream) -> None:
        from server.endpoints.subresources.spdy_exec import relay_session

        expected = expected_streams(protocol, params)
        await relay_session(connection, stream, Dialect(protocol), expected)

    headers = {STREAM_VERSION: protocol}
    return Response(
        raw_upgrade=RawUpgrade(protocol=SPDY, headers=headers, serve=serve, abandon=stream.close)
    )


def expected_streams(protocol: str, params: Mapping[str, Any]) -> frozenset[str]:
    """Those a client opens: errors always, sizes of a terminal from v3 on. Pure."""
    names = {name for name in ("stdin", "stdout", "stderr") if params.get(name)} | {"error"}
    if params.get("tty") and protocol.startswith(("v3.", "v4.")):
        names.add("resize")
    return frozenset(names)


async def relay(socket: WebSocket, stream: Stream, dialect: Dialect) -> None:
    """Until either side ends; the other is closed then."""

    async def to_agent() -> None:
        while (message := await socket.receive()) is not None:
            if (data := dialect.to_agent(message)) is not None:
                await stream.send(data)

    async def to_client() -> None:
        async for data in session_messages(stream):
            if (message := dialect.to_client(data)) is not None:
                await socket.send(message)

    try:
        await until_one_ends(to_agent(), to_client())
    finally:
        await stream.close()
        await socket.close()
