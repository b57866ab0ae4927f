"""Impersonation filter: who may act as somebody else does so from here on (``kubectl --as``).

As apiserver pkg/endpoints/filters/impersonation: every name, group, uid and extra value that is
asked for must be allowed to who asks, by the verb ``impersonate``. What is not asked for is not
taken along: the rest of the chain sees the other user and nobody else. A request without such
headers pays for one look at the names of its headers.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from edgek.api.errors import BadRequest
from server.authz.authorizer import Authorizer, Decision
from server.filters.authorization import forbidden
from server.request.info import RequestInfo
from server.request.model import ANONYMOUS, Filter, Handler, Request, Response, User
from server.request.principals import (
    AUTHENTICATED,
    UNAUTHENTICATED,
    account_groups,
    account_of,
)

log = logging.getLogger(__name__)
_PREFIX = "impersonate-"
_USER, _GROUP, _UID = "impersonate-user", "impersonate-group", "impersonate-uid"
_EXTRA = "impersonate-extra-"
_IDENTITY = "authentication.k8s.io"
_BETWEEN = "\n"
"""Between the values of a repeated header of these; server/http/parser.py joins them so."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the headers ask for, word by word."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def impersonation(authorizer: Authorizer) -> Filter:
    def wrap(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            if _PREFIX not in " ".join(request.headers):  # of almost all; the quickest look
                return await handler(request)
            asked = {k: v for k, v in request.headers.items() if k.startswith(_PREFIX)}
            if (wanted := read_headers(asked)) is not None:
                _check(authorizer, request.user, wanted)
                other = user_from(wanted)
                log.debug("impersonation user=%s as=%s", request.user.name, other.name)
                request.user = other
                request.headers = {k: v for k, v in request.headers.items() if k not in asked}
            return await handler(request)

        return handle

    return wrap


def read_headers(headers: Mapping[str, str]) -> Wanted | None:
    """None where nothing is asked for. Raises BadRequest where no user is named: to go on as who
    asks would let through what the other may not do."""
    name = headers.get(_USER, "").partition(_BETWEEN)[0]
    uid = headers.get(_UID, "").partition(_BETWEEN)[0]
    groups = tuple(headers[_GROUP].split(_BETWEEN)) if _GROUP in headers else ()
    extra = {
        unquote(key.removeprefix(_EXTRA)): tuple(value.split(_BETWEEN))
        for key, value in headers.items()
        if key.startswith(_EXTRA)
    }
    if name:
        return Wanted(name=name, uid=uid, groups=groups, extra=extra)
    if uid or groups or extra:
        raise BadRequest("requested impersonation without impersonating a user")
    return None


def user_from(wanted: Wanted) -> User:
    """Groups that were named are the authority; else those that such a user has anyway."""
    account, groups = account_of(wanted.name), wanted.groups
    if account and not groups:
        groups = account_groups(account[0])
    if wanted.name == ANONYMOUS.name:
        more = () if UNAUTHENTICATED in groups else (UNAUTHENTICATED,)
    else:
        more = () if {AUTHENTICATED, UNAUTHENTICATED} & set(groups) else (AUTHENTICATED,)
    return User(name=wanted.name, uid=wanted.uid, groups=(*groups, *more), extra=wanted.extra)


def _check(authorizer: Authorizer, user: User, wanted: Wanted) -> None:
    """Raises Forbidden for the first thing that is not allowed."""
    for info in needed(wanted):
        verdict = authorizer.authorize(user, info)
        if verdict.decision is not Decision.ALLOW:
            raise forbidden(user, info, verdict.reason)


def needed(wanted: Wanted) -> Iterator[RequestInfo]:
    """One permission for each single thing."""
    if account := account_of(wanted.name):
        yield _permission("serviceaccounts", account[1], namespace=account[0])
    else:
        yield _permission("users", wanted.name)
    for group in wanted.groups:
        yield _permission("groups", group)
    for key, values in wanted.extra.items():
        for value in values:
            yield _permission("userextras", value, group=_IDENTITY, subresource=key)
    if wanted.uid:
        yield _permission("uids", wanted.uid, group=_IDENTITY)


def _permission(
    resource: str, name: str, *, namespace: str = "", group: str = "", subresource: str = ""
) -> RequestInfo:
    return RequestInfo(
        is_resource=True,
        verb="impersonate",
        group=group,
        version="v1",
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
    )
