"""Authorization filter: the request goes on only where an authorizer says ALLOW.

The sentence of the 403 is upstream's (endpoints/handlers/responsewriters/errors.go): people and
programs search for it.
"""

from dataclasses import replace

from edgek.api.errors import Forbidden, qualified
from server.authz.authorizer import Authorizer, Decision
from server.request.info import RequestInfo
from server.request.model import Filter, Handler, Request, Response, User

_STREAMS = ("attach", "exec", "portforward")


def authorization(authorizer: Authorizer) -> Filter:
    def wrap(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            _check(authorizer, request.user, request.info)
            if request.info.subresource in _STREAMS and request.info.verb == "get":
                # A WebSocket can only be asked for with GET, but what it does in a container is
                # no reading. As AuthorizePodWebsocketUpgradeCreatePermission.
                _check(authorizer, request.user, replace(request.info, verb="create"))
            return await handler(request)

        return handle

    return wrap


def _check(authorizer: Authorizer, user: User, info: RequestInfo) -> None:
    verdict = authorizer.authorize(user, info)
    if verdict.decision is not Decision.ALLOW:
        raise forbidden(user, info, verdict.reason)


def forbidden(user: User, info: RequestInfo, reason: str = "") -> Forbidden:
    """The error for a denied request; also for checks made outside the filter."""
    because = f": {reason}" if reason else ""
    if not info.is_resource:
        path = info.path or "/"
        return Forbidden(f'forbidden: User "{user.name}" cannot {info.verb} path "{path}"{because}')
    what = qualified(info.resource, info.group)
    subject = f'{what} "{info.name}"' if info.name else what
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {info.verb} resource "{resource}" '
        f'in API group "{info.group}" {where}{because}'
    )
    details = {"name": info.name, "group": info.group, "kind": info.resource}
    return Forbidden(message, details={k: v for k, v in details.items() if v})
