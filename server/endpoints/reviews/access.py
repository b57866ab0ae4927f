"""POST of the three access reviews: the authorizers are asked as for a request, and say why.

As pkg/registry/authorization; a selector that cannot be read is left out and said so, because
without it the answer can only be stricter.
"""

import re
from typing import Any

from edgek.api.meta import Obj
from edgek.api.selectors import parse_field_selector, parse_selector
from server.authz.authorizer import Authorizer, Decision
from server.endpoints.env import Env
from server.endpoints.reviews.question import answered, read_question
from server.endpoints.route import Target, Verb
from server.request.info import RequestInfo
from server.request.model import Request, Response, User

_SPEC = "spec.resourceAttributes"
_SIGNS = {"In": "=", "NotIn": "!="}


def review_access(authorizer: Authorizer) -> Verb:
    """Create of subjectaccessreviews: about the user whom the spec names."""

    async def create(env: Env, request: Request, target: Target) -> Response:
        obj = await read_question(env, request, target)
        return answered(obj, access_status(authorizer, _subject(obj["spec"]), obj["spec"]))

    return create


def local_access_review(authorizer: Authorizer) -> Verb:
    """The same within one namespace: validation has held it against the path's."""
    return review_access(authorizer)


def review_own_access(authorizer: Authorizer) -> Verb:
    """Create of selfsubjectaccessreviews: about who asks."""

    async def create(env: Env, request: Request, target: Target) -> Response:
        obj = await read_question(env, request, target)
        return answered(obj, access_status(authorizer, request.user, obj["spec"]))

    return create


def access_status(authorizer: Authorizer, user: User, spec: Obj) -> Obj:
    info, problems = attributes_from(spec)
    verdict = authorizer.authorize(user, info, explain=True)
    status: Obj = {"allowed": verdict.decision is Decision.ALLOW}
    if verdict.decision is Decision.DENY:
        status["denied"] = True
    if verdict.reason:
        status["reason"] = verdict.reason
    if problems:
        status["evaluationError"] = "; ".join(problems)
    return status


def _subject(spec: Obj) -> User:
    return User(
        name=spec.get("user") or "",
        uid=spec.get("uid") or "",
        groups=tuple(spec.get("groups") or ()),
        extra={key.lower(): tuple(v or ()) for key, v in (spec.get("extra") or {}).items()},
    )


def attributes_from(spec: Obj) -> tuple[RequestInfo, list[str]]:
    """What would be asked of the authorizers, and what of it could not be read."""
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return RequestInfo(verb=path.get("verb") or "", path=path.get("path") or ""), []
    asked = spec.get("resourceAttributes") or {}
    text, problems = _field_selector(asked.get("fieldSelector"))
    problems += _label_problems(asked.get("labelSelector"))
    info = RequestInfo(
        is_resource=True,
        verb=asked.get("verb") or "",
        group=asked.get("group") or "",
        version=asked.get("version") or "",
        namespace=asked.get("namespace") or "",
        resource=asked.get("resource") or "",
        subresource=asked.get("subresource") or "",
        name=asked.get("name") or "",
        field_selector=text,
    )
    return info, problems


def _field_selector(selector: Any) -> tuple[str, list[str]]:
    """As text, because that is how requests bring it."""
    if selector is None:
        return "", []
    if raw := selector.get("rawSelector"):
        try:
            parse_field_selector(raw)
        except ValueError:
            return "", [f"{_SPEC}.fieldSelector ignored due to parse error"]
        return raw, []
    terms = [_term(requirement) for requirement in selector.get("requirements") or ()]
    known = [term for term in terms if term]
    if len(known) == len(terms):
        return ",".join(known), []
    partly = "partially ignored" if known else "ignored"
    return ",".join(known), [f"{_SPEC}.fieldSelector {partly} due to parse error"]


def _term(requirement: Obj) -> str:
    """Empty where field selectors cannot say it."""
    sign = _SIGNS.get(requirement.get("operator") or "")
    values: list[str] = requirement.get("values") or []
    if sign is None or len(values) != 1:
        return ""
    value = re.sub(r"([\\,=])", r"\\\1", values[0])
    return f"{requirement['key']}{sign}{value}"


def _label_problems(selector: Any) -> list[str]:
    """No authorizer of ours looks at labels; what is wrong with them is said all the same."""
    if selector is None or not selector.get("rawSelector"):
        return []
    try:
        parse_selector(selector["rawSelector"])
    except ValueError:
        return [f"{_SPEC}.labelSelector ignored due to parse error"]
    return []
