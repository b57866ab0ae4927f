"""What CEL expressions of admission configurations can name, and the values for one request.

``object``, ``oldObject``, ``request``, ``namespaceObject``, ``params``, ``authorizer`` and
``variables``, as apiserver pkg/admission/plugin/cel. Match conditions of webhooks and all
expressions of policies go through here.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from edgek.aio.slices import Pace
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from edgek.kinds.namespace import NAMESPACE
from edgek.schema.schema import Schema
from server.admission.asked import object_type, resource_type
from server.admission.chain import Attributes
from server.admission.matching import GetNamespace
from server.cel import DYN, Environment, of_type
from server.cel.library import authorizer as cel_authorizer
from server.cel.library.authorizer import AUTHORIZER, RESOURCE, Question
from server.request.info import RequestInfo
from server.request.model import User, user_info

_TEXT, _TRUTH = Schema(type="string"), Schema(type="boolean")
_TEXTS, _LABELS = Schema(type="list", items=_TEXT), Schema(type="map", items=_TEXT)
_NUMBER, _TIME = Schema(type="int64"), Schema(type="time")


def _object(fields: Mapping[str, Schema]) -> Schema:
    return Schema(type="object", fields=fields)


_KIND = _object({"group": _TEXT, "version": _TEXT, "kind": _TEXT})
_RESOURCE = _object({"group": _TEXT, "version": _TEXT, "resource": _TEXT})
_USER = _object(
    {
        "username": _TEXT,
        "uid": _TEXT,
        "groups": _TEXTS,
        "extra": Schema(type="map", items=_TEXTS),
    }
)
REQUEST = _object(
    {
        "kind": _KIND,
        "resource": _RESOURCE,
        "subResource": _TEXT,
        "requestKind": _KIND,
        "requestResource": _RESOURCE,
        "requestSubResource": _TEXT,
        "name": _TEXT,
        "namespace": _TEXT,
        "operation": _TEXT,
        "userInfo": _USER,
        "dryRun": _TRUTH,
        "options": DYN,
    }
)
_CONDITION = _object(
    {
        "status": _TEXT,
        "type": _TEXT,
        "lastTransitionTime": _TIME,
        "message": _TEXT,
        "reason": _TEXT,
    }
)
_METADATA = _object(
    {
        "name": _TEXT,
        "generateName": _TEXT,
        "namespace": _TEXT,
        "labels": _LABELS,
        "annotations": _LABELS,
        "UID": _TEXT,
        "creationTimestamp": _TIME,
        "deletionGracePeriodSeconds": _NUMBER,
        "deletionTimestamp": _TIME,
        "generation": _NUMBER,
        "resourceVersion": _TEXT,
        "finalizers": _TEXTS,
    }
)
NAMESPACE_OBJECT = _object(
    {
        "metadata": _METADATA,
        "spec": _object({"finalizers": _TEXTS}),
        "status": _object(
            {"conditions": Schema(type="list", items=_CONDITION), "phase": _TEXT},
        ),
    }
)


@lru_cache(maxsize=32)
def admission_environment(
    *, params: bool, authorizer: bool, results: tuple[str, ...] = ("bool",), objects: bool = False
) -> Environment:
    """For expressions that read no ``variables``."""
    return environment_with(
        None, params=params, authorizer=authorizer, results=results, objects=objects
    )


def environment_with(
    variables: Mapping[str, Schema] | None,
    *,
    params: bool,
    authorizer: bool,
    results: tuple[str, ...] = ("bool",),
    objects: bool = False,
    about: Schema = DYN,
) -> Environment:
    """``variables``: a policy's own, with what is known of each; ``about``: the objects' schema,
    where only one kind is looked at."""
    named = {
        "object": about,
        "oldObject": about,
        "request": REQUEST,
        "namespaceObject": NAMESPACE_OBJECT,
    }
    if params:
        named["params"] = DYN
    if authorizer:
        named["authorizer"] = of_type(AUTHORIZER)
        named["authorizer.requestResource"] = of_type(RESOURCE)
    if variables is not None:
        named["variables"] = _object(variables)
    return Environment(variables=named, results=results, objects=objects)


def pace_of(attributes: Attributes) -> Pace:
    """Of all expressions that one request meets: others have their turn between two of them."""
    pace: Pace = attributes.memory.setdefault("pace", Pace())
    return pace


Ask = Callable[[User, RequestInfo], tuple[bool, str]]
"""Whether somebody may do something, and why: the authorizers, seen from here."""


def _checked(ask: Ask, user: User) -> Callable[[Question], cel_authorizer.Decision]:
    """What ``authorizer`` in expressions asks; each question once."""
    known: dict[Question, cel_authorizer.Decision] = {}

    def check(question: Question) -> cel_authorizer.Decision:
        if question not in known:
            allowed, why = ask(_subject(user, question), _info(question))
            known[question] = cel_authorizer.Decision(allowed=allowed, reason=why)
        return known[question]

    return check


def _subject(user: User, question: Question) -> User:
    if question.account is None:
        return user
    namespace, name = question.account
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(
        name=f"system:serviceaccount:{namespace}:{name}", groups=(*groups, "system:authenticated")
    )


def _info(question: Question) -> RequestInfo:
    if question.path:
        return RequestInfo(verb=question.verb, path=question.path)
    return RequestInfo(
        is_resource=True,
        verb=question.verb,
        group=question.group,
        version="*",
        namespace=question.namespace,
        resource=question.resource,
        subresource=question.subresource,
        name=question.name,
        field_selector=question.field_selector,
    )


def request_variables(
    attributes: Attributes, kind: Kind, *, get_namespace: GetNamespace, ask: Ask
) -> dict[str, Any]:
    """All but ``params`` and ``variables``. ``kind``: as which the request has matched."""
    a = attributes
    own = a.kind == NAMESPACE or not a.namespace
    asked = Question(
        group=a.kind.group,
        resource=a.kind.plural,
        subresource=a.subresource,
        namespace=a.namespace,
        name=a.name,
    )
    return {
        "object": a.obj,
        "oldObject": a.old,
        "request": admission_request(a, kind),
        "namespaceObject": None if own else _namespace_object(get_namespace(a.namespace)),
        "authorizer": cel_authorizer.Authorizer(check=_checked(ask, a.user), request=asked),
    }


def _namespace_object(namespace: Obj | None) -> Obj | None:
    if namespace is None:
        return None
    metadata = {k: v for k, v in namespace["metadata"].items() if k in _METADATA.fields}
    return {
        "metadata": metadata | {"UID": namespace["metadata"].get("uid", "")},
        "spec": namespace.get("spec") or {},
        "status": namespace.get("status") or {},
    }


def admission_request(attributes: Attributes, kind: Kind) -> Obj:
    """The AdmissionRequest of a request, without its objects and uid."""
    a, asked = attributes, attributes.kind
    return {
        "kind": object_type(kind, a.subresource),
        "resource": resource_type(kind),
        "subResource": a.subresource,
        "requestKind": object_type(asked, a.subresource),
        "requestResource": resource_type(asked),
        "requestSubResource": a.subresource,
        "name": a.name,
        "namespace": a.namespace,
        "operation": a.operation,
        "userInfo": user_info(a.user),
        "dryRun": a.dry_run,
        "options": a.options,
    }
