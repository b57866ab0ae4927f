"""``system:masters`` may do everything, also when every RBAC object is gone."""

from server.authz.authorizer import NO_OPINION, Decision, Verdict
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import MASTERS

_ALLOW = Verdict(Decision.ALLOW)


class Masters:
    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        return _ALLOW if MASTERS in user.groups else NO_OPINION
