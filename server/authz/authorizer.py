"""Authorizer: may they. ALLOW and DENY end the question, NO_OPINION passes it on."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, Protocol

from edgek.api.meta import Obj
from server.request.info import RequestInfo
from server.request.model import User


class Decision(Enum):
    ALLOW = "allow"
    DENY = "deny"
    NO_OPINION = "no opinion"


class Verdict(NamedTuple):
    decision: Decision
    reason: str = ""


NO_OPINION = Verdict(Decision.NO_OPINION)


class Authorizer(Protocol):
    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        """``explain``: with a reason also where it is allowed, which takes longer."""


class RuleResolver(Protocol):
    def rules_for(self, user: User, namespace: str) -> Iterable[Obj]:
        """Every rule the user has in that namespace ("": cluster-wide only)."""
