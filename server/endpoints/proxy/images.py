"""nodes/NAME/proxy/edgek/images: image work on a node, as a WebSocket whose messages pass through
to its agent (agent/api/images.py) unread. ``edgek images push`` is made of it.

Whoever brings images to a node decides what its pods run, so this wants "create" on nodes/proxy,
though a WebSocket is asked for with GET: reading a node's metrics is not enough.
"""

import json
from dataclasses import replace
from typing import Any

from edgek.aio.tasks import until_one_ends
from edgek.api.errors import BadRequest
from server.authz.authorizer import Decision
from server.endpoints.env import Env
from server.endpoints.subresources.backend import Backend
from server.endpoints.subresources.subprotocol import wants_websocket
from server.filters.authorization import forbidden
from server.request.model import Request, Response, Upgrade, WebSocket

IMAGES = "/edgek/images"
MAX_QUESTION = 16 * 1024


async def image_work(env: Env, request: Request, node: str, backend: Backend) -> Response:
    """The question is the query's ``ask``, JSON. Raises Forbidden, and what the agent says."""
    info = replace(request.info, verb="create")
    verdict = env.authorizer.authorize(request.user, info)
    if verdict.decision is not Decision.ALLOW:
        raise forbidden(request.user, info, verdict.reason)
    if not wants_websocket(request):
        raise BadRequest("this path is for WebSockets only; use: edgek images")
    stream = await backend.open(node, "image", _question(request.query.get("ask", "")))

    async def serve(socket: WebSocket) -> None:
        async def to_node() -> None:
            while (message := await socket.receive()) is not None:
                await stream.send(message.encode() if isinstance(message, str) else message)

        async def to_client() -> None:
            while (data := await stream.receive()) is not None:
                await socket.send(data)

        try:
            await until_one_ends(to_node(), to_client())
        finally:
            await stream.close()
            await socket.close()

    return Response(upgrade=Upgrade(protocol="", serve=serve, abandon=stream.close))


def _question(text: str) -> dict[str, Any]:
    """Raises BadRequest."""
    try:
        asked = json.loads(text) if len(text) <= MAX_QUESTION else None
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise BadRequest("ask must be a JSON object")
    return asked
