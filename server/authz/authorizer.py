"""Authorizer: may they. ALLOW and DENY end the question, NO_OPINION passes it on."""

from enum import Enum
from typing import NamedTuple, Protocol

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
    def authorize(self, user: User, info: RequestInfo) -> Verdict: ...
