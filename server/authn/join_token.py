"""Join tokens: what a machine shows to ask for its node certificate, and nothing more."""

import hmac
from collections.abc import Sequence

from edgek.api.errors import Unauthorized
from edgek.pki.tokens import JoinToken, parse_join_token
from server.authn.authenticator import TokenOwner
from server.authn.bearer import bearer_token
from server.request.model import Request, User
from server.request.principals import AGENT_BOOTSTRAPPERS, AUTHENTICATED, BOOTSTRAPPERS

JOINING = User(
    name="system:bootstrap:edgek", groups=(BOOTSTRAPPERS, AGENT_BOOTSTRAPPERS, AUTHENTICATED)
)


class JoinTokenAuthenticator:
    """Takes the full K10 form or the bare secret."""

    def __init__(self, *tokens: JoinToken) -> None:
        self._secrets = tuple({t.secret.encode() for t in tokens})

    async def authenticate(self, request: Request) -> User | None:
        text = bearer_token(request)
        if not text:
            return None
        return self._owner(text)

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenOwner | None:
        """Meant for whatever is asked about: such tokens name no audience."""
        user = self._owner(token)
        return TokenOwner(user=user, audiences=audiences) if user else None

    def _owner(self, text: str) -> User | None:
        try:
            shown = parse_join_token(text).secret.encode()
        except ValueError as err:
            raise Unauthorized from err
        if sum(hmac.compare_digest(shown, s) for s in self._secrets):  # compares with all, always
            return JOINING
        if text.startswith("K10"):
            raise Unauthorized
        return None
