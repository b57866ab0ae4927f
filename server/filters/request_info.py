"""Parses the URL once, for everyone behind."""

from server.request.info import parse_request_info
from server.request.model import Handler, Request, Response


def request_info_filter(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        request.info = parse_request_info(request.method, request.path, request.query)
        return await handler(request)

    return handle
