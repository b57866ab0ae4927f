"""Asks each authorizer in turn until one has an opinion."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.authz.authorizer import Authorizer, Decision, Verdict
from server.request.info import RequestInfo
from server.request.model import User


@dataclass(frozen=True)
class Union:
    """Nobody's opinion stays NO_OPINION, with all reasons given: the filter then refuses."""

    authorizers: Sequence[Authorizer]

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        reasons = []
        for authorizer in self.authorizers:
            verdict = authorizer.authorize(user, info)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, ", ".join(reasons))
