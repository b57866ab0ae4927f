"""Authenticator: who asks. The union asks each in turn; the first answer wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from server.request.model import Request, User


class Authenticator(Protocol):
    async def authenticate(self, request: Request) -> User | None:
        """The user, or None where this request carries none of our credentials. Raises
        Unauthorized where it carries one of ours that is bad (expired, revoked, forged)."""


@dataclass(frozen=True, kw_only=True)
class TokenOwner:
    """Whose a token is, and for which of the audiences asked about it is meant."""

    user: User
    audiences: Sequence[str]


@runtime_checkable
class TokenAuthenticator(Protocol):
    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenOwner | None:
        """As ``authenticate``, of a bare token that is to be meant for one of ``audiences``;
        where none are given, for this API."""
