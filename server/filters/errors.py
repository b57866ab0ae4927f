"""The outermost filter: whatever happens inside, the client gets a Status.

An ApiError is an answer. Anything else is a bug of ours: logged with its traceback, answered
without internals.
"""

import asyncio
import logging

from edgek.api import errors
from server.request.model import Handler, Request, Response

log = logging.getLogger(__name__)


def error_response(err: errors.ApiError) -> Response:
    headers = {"Retry-After": str(err.retry_after)} if err.retry_after else {}
    return Response(status=err.code, headers=headers, obj=err.to_status())


def errors_filter(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except errors.ApiError as err:
            return error_response(err)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("request failed method=%s path=%s", request.method, request.path)
            return error_response(
                errors.InternalError("Internal error occurred: see the server's log")
            )

    return handle
