"""The real HTTP server in front of a bare handler, for stream tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgek.api.errors import ApiError
from server.filters.errors import error_response
from server.http import HttpServer
from server.request.model import Handler, Request, Response, User


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[str]:
    """The address. Who asks is what the header ``x-user`` says, else the node in the path."""

    async def respond(request: Request) -> Response:
        parts = request.path.split("/")
        node = f"system:node:{parts[4]}" if len(parts) > 4 else ""
        request.user = User(name=request.header("x-user") or node)
        try:
            return await handle(request)
        except ApiError as err:
            return error_response(err)

    server = HttpServer(respond)
    port = await server.listen("127.0.0.1", 0, None)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.close()
