"""GET of one object."""

from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.route import Target
from server.request.model import Request, Response


async def get(env: Env, request: Request, target: Target) -> Response:
    entry = await env.registry.get(target.kind, target.key)
    return negotiate(env, request, target.kind).one(entry)
