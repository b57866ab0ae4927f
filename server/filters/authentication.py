"""Authentication filter: sets ``request.user``, or ends the request with 401.

In-process callers name their user themselves; they need no credential to reach us.
"""

import logging

from edgek.api.errors import Unauthorized
from server.authn.authenticator import Authenticator
from server.request.model import Filter, Handler, Request, Response

log = logging.getLogger(__name__)


def authentication(authenticator: Authenticator) -> Filter:
    def wrap(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            if not request.in_process:
                try:
                    user = await authenticator.authenticate(request)
                except Unauthorized as err:
                    why = err.__cause__ or "unknown credential"
                    log.warning("authentication failed remote=%s reason=%s", request.remote, why)
                    raise
                if user is None:
                    raise Unauthorized
                request.user = user
            return await handler(request)

        return handle

    return wrap
