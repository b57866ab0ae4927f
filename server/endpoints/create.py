"""POST to a collection."""

from server.endpoints.body import read_object
from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.request.model import Request, Response


async def create(env: Env, request: Request, target: Target) -> Response:
    view = negotiate(env, request, target.kind)
    context = write_context(request)
    obj = await read_object(request, target.kind)
    entry = await env.registry.create(target.kind, target.key.namespace, obj, context)
    return view.one(entry, status=201)
