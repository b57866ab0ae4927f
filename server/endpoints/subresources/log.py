"""GET pods/NAME/log: a container's log, read by its node and passed on as it comes.

As registry/core/pod/rest/log.go. Over a WebSocket too (binary.k8s.io), as older clients want it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgek.api import errors
from edgek.api.meta import Obj, get_path, name, uid
from edgek.api.time import parse_time
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.pod_containers import choose_container, logged_container_id
from server.endpoints.query import flag
from server.endpoints.subresources.backend import Backend, Chunks, Stream
from server.endpoints.subresources.subprotocol import offered, wants_websocket
from server.request.model import Request, Response, Upgrade, WebSocket

_PROTOCOLS = ("binary.k8s.io", "base64.binary.k8s.io", "")


@dataclass(frozen=True, kw_only=True)
class _PodLogOptions:
    """Only what names a kind in errors."""

    group: str = ""
    kind: str = "PodLogOptions"
    plural: str = "podlogoptions"


async def handle(request: Request, pod: Obj, backend: Backend) -> Response:
    params = read_log_options(request.query, pod)
    node = get_path(pod, "spec", "nodeName", default="")
    container = choose_container(pod, request.query.get("container", ""))
    if not node:  # As LocationStreamer: nothing there yet is no error
        return Response(status=204, content_type="text/plain")
    previous = flag(request.query, "previous")
    params["podUID"] = uid(pod)
    params["containerID"] = logged_container_id(pod, container, previous=previous)
    params["follow"] = flag(request.query, "follow") and not previous
    protocol = offered(request, _PROTOCOLS) if wants_websocket(request) else None
    stream = await backend.open(node, "log", params)
    if protocol is not None:
        return Response(upgrade=_upgrade(protocol, stream))
    return Response(stream=Chunks(stream), content_type="text/plain")


def _upgrade(protocol: str, stream: Stream) -> Upgrade:
    async def serve(socket: WebSocket) -> None:
        import base64

        code = 1000
        try:
            async for data in Chunks(stream):
                text = "base64" in protocol
                await socket.send(base64.b64encode(data).decode() if text else data)
        except ConnectionResetError:
            code = 1011
        finally:
            await stream.close()
        await socket.close(code)

    return Upgrade(protocol=protocol, serve=serve, abandon=stream.close)


def read_log_options(query: Mapping[str, str], pod: Obj) -> dict[str, Any]:
    """PodLogOptions as the agent reads them. Raises Invalid and BadRequest."""
    found = FieldErrors()
    params: dict[str, Any] = {"timestamps": flag(query, "timestamps")}
    for field, least, words in _NUMBERS:
        if (value := _integer(query, field)) is not None:
            if value < least:
                found.invalid(FieldPath(field), value, words)
            params[field] = value
    if "sinceTime" in query:
        params["sinceTime"] = _time(query["sinceTime"])
        if "sinceSeconds" in params:
            found.forbidden(
                FieldPath(), "at most one of `sinceTime` or `sinceSeconds` may be specified"
            )
    if stream := query.get("stream"):
        if stream not in _STREAMS:
            found.not_supported(FieldPath("stream"), stream, _STREAMS)
        elif stream != "All" and "tailLines" in params:
            found.forbidden(FieldPath("tailLines"), "`tailLines` is forbidden when `stream` is set")
        params["stream"] = stream
    if found:
        raise errors.Invalid.of(_PodLogOptions(), name(pod), found)
    return params


_STREAMS = ("All", "Stdout", "Stderr")
_NUMBERS = (
    ("tailLines", 0, "must be greater than or equal to 0"),
    ("limitBytes", 1, "must be greater than 0"),
    ("sinceSeconds", 1, "must be greater than 0"),
)


def _integer(query: Mapping[str, str], field: str) -> int | None:
    text = query.get(field, "")
    if not text:
        return None
    try:
        if len(text) < 20:
            return int(text)
    except ValueError:
        pass
    raise errors.BadRequest(f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax')


def _time(text: str) -> str:
    try:
        parse_time(text)
    except ValueError as err:
        raise errors.BadRequest(f'parsing time "{text[:40]}": {err}') from err
    return text
