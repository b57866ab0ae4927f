"""Asks each authorizer in turn until one has an opinion."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgek.api.meta import Obj
from server.authz.authorizer import Authorizer, Decision, RuleResolver, Verdict
from server.request.info import RequestInfo
from server.request.model import User


@dataclass(frozen=True)
class Union:
    """Nobody's opinion stays NO_OPINION, with all reasons given: the filter then refuses."""

    authorizers: Sequence[Authorizer]
    rules: RuleResolver

    def rules_for(self, user: User, namespace: str) -> Iterable[Obj]:
        return self.rules.rules_for(user, namespace)

    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        reasons = []
        for authorizer in self.authorizers:
            verdict = authorizer.authorize(user, info, explain=explain)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, ", ".join(reasons))
