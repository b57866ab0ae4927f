"""PUT of an object, or of its status. A few kinds are created by it where they are not there."""

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.validation import FieldError
from edgek.kinds.kind import Kind
from server.endpoints.apply import check_may_create
from server.endpoints.body import read_object
from server.endpoints.env import Env
from server.endpoints.negotiate import View, negotiate
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.create import check_new_identity
from server.registry.write import MAIN, STATUS, How, WriteContext, copy_of, creating
from server.request.model import Request, Response

CREATED_BY_PUT = frozenset({
    ("", "endpoints"), ("", "events"), ("", "limitranges"), ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"), ("coordination.k8s.io", "leasecandidates"),
    ("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
})  # fmt: skip
"""AllowCreateOnUpdate of upstream's strategies."""
ONLY_CONDITIONAL = frozenset({
    ("coordination.k8s.io", "leases"), ("policy", "poddisruptionbudgets"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
})  # fmt: skip
"""Kinds whose PUT must name the resourceVersion it is based on (not AllowUnconditionalUpdate), as
that of every custom kind."""


async def update(env: Env, request: Request, target: Target) -> Response:
    return await _put(env, request, target, MAIN)


async def update_status(env: Env, request: Request, target: Target) -> Response:
    return await _put(env, request, target, STATUS)


async def _put(env: Env, request: Request, target: Target, how: How) -> Response:
    view = negotiate(env, request, target.kind)
    context = write_context(request)
    obj = await read_object(request, target.kind)
    _check_name(obj, target)
    creates = how is MAIN and (target.kind.group, target.kind.plural) in CREATED_BY_PUT
    if creates and env.registry.find(target.kind, target.key) is None:
        check_may_create(env, request)
        return await _create(env, view, target, obj, context)

    def replace(stored: Obj) -> Obj:
        refuse_unconditional(target.kind, obj)
        return copy_of(obj)  # each try mutates its own

    entry = await env.registry.update(target.kind, target.key, replace, context, how=how)
    return view.one(entry)


async def _create(
    env: Env, view: View, target: Target, obj: Obj, context: WriteContext
) -> Response:
    check_new_identity(target.kind, obj, target.key)
    obj["metadata"].pop("resourceVersion", None)
    entry = await env.registry.create(target.kind, target.key.namespace, obj, creating(context))
    return view.one(entry, status=201)


def _check_name(obj: Obj, target: Target) -> None:
    if not obj["metadata"].get("name"):
        raise errors.BadRequest("name must be provided")


def refuse_unconditional(kind: Kind, obj: Obj) -> None:
    """Raises Invalid. NB: upstream names the plural here where it means the kind."""
    if not kind.custom and (kind.group, kind.plural) not in ONLY_CONDITIONAL:
        return
    meta = obj["metadata"]
    if meta.get("resourceVersion") in (None, "", "0"):
        problem = FieldError(
            "FieldValueInvalid",
            "metadata.resourceVersion",
            "Invalid value: 0x0: must be specified for an update",
        )
        named = Kind(group=kind.group, version=kind.version, kind=kind.plural, plural=kind.plural)
        raise errors.Invalid.of(named, meta["name"], [problem])
