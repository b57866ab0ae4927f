"""Authentication filter: sets ``request.user``, or ends the request with 401.

In-process callers name their user themselves; they need no credential to reach us. Whoever asks to
act as somebody else (``kubectl --as``) is refused: to go on as the real user would let through
what the other may not do.
"""

import logging

from edgek.api.errors import Forbidden, Unauthorized
from server.authn.authenticator import Authenticator
from server.request.model import Filter, Handler, Request, Response, User

log = logging.getLogger(__name__)
_IMPERSONATION = (
    ("impersonate-user", "users"),
    ("impersonate-group", "groups"),
    ("impersonate-uid", "uids"),
)


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
                _refuse_impersonation(request, user)
                request.user = user
            return await handler(request)

        return handle

    return wrap


def _refuse_impersonation(request: Request, user: User) -> None:
    for header, resource in _IMPERSONATION:
        if other := request.headers.get(header):
            raise Forbidden(
                f'{resource} "{other}" is forbidden: User "{user.name}" cannot impersonate '
                f'resource "{resource}" in API group "" at the cluster scope: this server does not '
                "support impersonation"
            )
