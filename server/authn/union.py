"""Asks each authenticator in turn; the first answer wins, and so does the first refusal."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.authn.authenticator import Authenticator, TokenAuthenticator, TokenOwner
from server.request.model import Request, User


@dataclass(frozen=True)
class Union:
    authenticators: Sequence[Authenticator]

    async def authenticate(self, request: Request) -> User | None:
        for authenticator in self.authenticators:
            user = await authenticator.authenticate(request)
            if user is not None:
                return user
        return None

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenOwner | None:
        """Of those who take tokens, the first that knows this one."""
        for authenticator in self.authenticators:
            if isinstance(authenticator, TokenAuthenticator):
                owner = await authenticator.authenticate_token(token, audiences)
                if owner is not None:
                    return owner
        return None
