"""Where a request goes behind the filters: a resource, or one of the paths beside them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edgek.api import errors
from server.endpoints.route import Routes
from server.request.model import Request, Response

Handle = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Root:
    """``paths``: (prefix, handler), the first that fits; a prefix without a trailing slash fits
    itself and what is below it."""

    routes: Routes
    paths: Sequence[tuple[str, Handle]]

    async def handle(self, request: Request) -> Response:
        if request.info.is_resource:
            return await self.routes.handle(request)
        for prefix, handler in self.paths:
            if request.path == prefix or request.path.startswith(prefix.rstrip("/") + "/"):
                return await handler(request)
        raise errors.NotFound.path()
