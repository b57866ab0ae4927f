"""PUT of an object, or of its status."""

from edgek.api import errors
from edgek.api.meta import Obj
from server.endpoints.body import read_object
from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.write import MAIN, STATUS, How, copy_of
from server.request.model import Request, Response


async def update(env: Env, request: Request, target: Target) -> Response:
    return await _put(env, request, target, MAIN)


async def update_status(env: Env, request: Request, target: Target) -> Response:
    return await _put(env, request, target, STATUS)


async def _put(env: Env, request: Request, target: Target, how: How) -> Response:
    view = negotiate(env, request, target.kind)
    context = write_context(request)
    obj = await read_object(request, target.kind)
    _check_name(obj, target)

    def replace(stored: Obj) -> Obj:
        return copy_of(obj)  # each try mutates its own

    entry = await env.registry.update(target.kind, target.key, replace, context, how=how)
    return view.one(entry)


def _check_name(obj: Obj, target: Target) -> None:
    if not obj["metadata"].get("name"):
        raise errors.BadRequest("name must be provided")
