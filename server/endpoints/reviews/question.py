"""What all reviews share: the body read, admitted and validated; the answer is the body again,
with a status."""

from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from server.endpoints.body import read_object
from server.endpoints.env import Env
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.create import check_namespace
from server.registry.registry import attributes_of
from server.request.model import Request, Response


async def read_question(env: Env, request: Request, target: Target) -> Obj:
    """The caller's own copy. Raises BadRequest, Invalid, Forbidden..."""
    context = write_context(request)
    obj = await read_object(request, target.kind)
    check_namespace(target.kind, obj["metadata"], target.key.namespace)
    if target.kind.namespaced:
        obj["metadata"]["namespace"] = target.key.namespace
    attributes = attributes_of("CREATE", target.kind, target.key, context, obj=obj)
    await env.registry.chain.admit(attributes)
    errors = FieldErrors()
    target.kind.validate(obj, errors)
    if errors:
        raise Invalid.of(target.kind, "", errors)
    await env.registry.chain.validate(attributes)
    return obj


def answered(obj: Obj, status: Obj) -> Response:
    return Response(status=201, obj={**obj, "status": status})
