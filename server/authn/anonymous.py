"""Requests without any credential are ``system:anonymous``; RBAC says what little that may do."""

from edgek.api.errors import Unauthorized
from server.authn.bearer import bearer_token
from server.request.model import ANONYMOUS, Request, User


class Anonymous:
    """The end of the union: a credential that got this far is one that nobody knew."""

    async def authenticate(self, request: Request) -> User | None:
        if request.header("authorization") or bearer_token(request):
            raise Unauthorized
        return ANONYMOUS
