"""Subresources that take the whole object and change one part of it.

namespaces/NAME/finalize and certificatesigningrequests/NAME/approval.
"""

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.endpoints.body import read_object
from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.patch import patcher
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.write import How, Transform, copy_of
from server.request.model import Request, Response


def _finalize(kind: Kind, obj: Obj, old: Obj) -> None:
    """Only spec.finalizers changes."""
    finalizers = (obj.get("spec") or {}).get("finalizers") or []
    spec = {**(old.get("spec") or {}), "finalizers": finalizers}
    obj.clear()
    obj.update({**old, "metadata": dict(old["metadata"]), "spec": spec})


def _approve(kind: Kind, obj: Obj, old: Obj) -> None:
    """Only the conditions of the status change; kubectl leaves dating them to us."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    status = {**(old.get("status") or {}), "conditions": conditions}
    obj.clear()
    obj.update({**old, "metadata": dict(old["metadata"]), "status": status})


FINALIZE = How(subresource="finalize", prepare=_finalize)
APPROVAL = How(subresource="approval", prepare=_approve)


async def put_finalize(env: Env, request: Request, target: Target) -> Response:
    return await _put(env, request, target, FINALIZE)


async def put_approval(env: Env, request: Request, target: Target) -> Response:
    return await _put(env, request, target, APPROVAL)


async def patch_approval(env: Env, request: Request, target: Target) -> Response:
    return await _write(env, request, target, patcher(request, target.kind), APPROVAL)


async def _put(env: Env, request: Request, target: Target, how: How) -> Response:
    obj = await read_object(request, target.kind)
    return await _write(env, request, target, lambda _: copy_of(obj), how)


async def _write(
    env: Env, request: Request, target: Target, transform: Transform, how: How
) -> Response:
    view = negotiate(env, request, target.kind)
    context = write_context(request)
    entry = await env.registry.update(target.kind, target.key, transform, context, how=how)
    return view.one(entry)
