"""Asks each authenticator in turn; the first answer wins, and so does the first refusal."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.authn.authenticator import Authenticator
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
