"""POST selfsubjectrulesreviews: what ``kubectl auth can-i --list`` shows.

As pkg/registry/authorization/selfsubjectrulesreview. Only RBAC decides by rules; where another
authorizer has a say, the list is called incomplete.
"""

from collections.abc import Iterable

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj, get_path
from server.authz.authorizer import RuleResolver
from server.endpoints.env import Env
from server.endpoints.reviews.question import answered, read_question
from server.endpoints.route import Target, Verb
from server.request.model import Request, Response
from server.request.principals import node_of

_OF_NODES = "node authorizer does not support user rule resolution"


def review_own_rules(resolver: RuleResolver) -> Verb:
    async def create(env: Env, request: Request, target: Target) -> Response:
        obj = await read_question(env, request, target)
        namespace = get_path(obj, "spec", "namespace", default="")
        if not namespace:
            raise BadRequest("no namespace on request")
        status = rules_status(resolver.rules_for(request.user, namespace))
        if node_of(request.user):
            status |= {"evaluationError": _OF_NODES, "incomplete": True}
        return answered(obj, status)

    return create


def rules_status(rules: Iterable[Obj]) -> Obj:
    resources, paths = [], []
    for rule in rules:
        if rule.get("resources"):
            resources.append(_only(rule, "verbs", "apiGroups", "resources", "resourceNames"))
        if rule.get("nonResourceURLs"):
            paths.append(_only(rule, "verbs", "nonResourceURLs"))
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def _only(rule: Obj, *fields: str) -> Obj:
    return {field: rule[field] for field in fields if rule.get(field)}
