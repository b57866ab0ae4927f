"""Authenticator: who asks. The union asks each in turn; the first answer wins."""

from typing import Protocol

from server.request.model import Request, User


class Authenticator(Protocol):
    async def authenticate(self, request: Request) -> User | None:
        """The user, or None where this request carries none of our credentials. Raises
        Unauthorized where it carries one of ours that is bad (expired, revoked, forged)."""
