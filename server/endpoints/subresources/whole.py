"""Subresources that take the whole object and change one part of it.

namespaces/NAME/finalize, certificatesigningrequests/NAME/approval, pods/NAME/ephemeralcontainers
and pods/NAME/resize. The pod's two have rules of their own for what may change, and none of those
for the whole pod.
"""

from collections.abc import Callable, Mapping

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.ephemeral_containers import prepare_ephemeral, validate_ephemeral_update
from edgek.kinds.kind import Kind, ValidateUpdate
from edgek.kinds.metadata import validate_object_meta_update
from edgek.kinds.pod_resize import prepare_resize, validate_resize
from server.endpoints.body import read_object
from server.endpoints.env import Env
from server.endpoints.get import get
from server.endpoints.negotiate import negotiate
from server.endpoints.patch import patch_with
from server.endpoints.query import write_context
from server.endpoints.route import Target, Verb
from server.registry.write import How, copy_of
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


def _checked(
    prepare: Callable[[Obj, Obj], None], validate_update: ValidateUpdate
) -> Callable[[Kind, Obj, Obj], None]:
    """A preparation that checks what it made by other rules for updates than the kind's."""

    def run(kind: Kind, obj: Obj, old: Obj) -> None:
        prepare(obj, old)
        problems = FieldErrors()
        validate_object_meta_update(obj, old, problems)
        kind.validate(obj, problems)
        validate_update(obj, old, problems)
        if problems:
            raise errors.Invalid.of(kind, obj["metadata"]["name"], problems)

    return run


FINALIZE = How(subresource="finalize", prepare=_finalize)
APPROVAL = How(subresource="approval", prepare=_approve)
EPHEMERAL = How(
    subresource="ephemeralcontainers",
    prepare=_checked(prepare_ephemeral, validate_ephemeral_update),
    validate=False,
)
RESIZE = How(
    subresource="resize", prepare=_checked(prepare_resize, validate_resize), validate=False
)


def verbs_of(how: How) -> Mapping[str, Verb]:
    """Read, replace and patch the whole object, of which ``how`` takes its part."""

    async def put(env: Env, request: Request, target: Target) -> Response:
        view = negotiate(env, request, target.kind)
        context = write_context(request)
        obj = await read_object(request, target.kind)

        def replace(stored: Obj) -> Obj:
            return copy_of(obj)  # each try mutates its own

        entry = await env.registry.update(target.kind, target.key, replace, context, how=how)
        return view.one(entry)

    async def patch(env: Env, request: Request, target: Target) -> Response:
        return await patch_with(env, request, target, how)

    return {"get": get, "update": put, "patch": patch}
