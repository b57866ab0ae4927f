"""POST tokenreviews (whose token is this?) and selfsubjectreviews (who am I?).

As pkg/registry/authentication. What is wrong with a token is said in words that hold nothing of
the token itself.
"""

from edgek.api.errors import BadRequest, Unauthorized
from edgek.api.meta import Obj
from server.authn.authenticator import TokenAuthenticator
from server.endpoints.env import Env
from server.endpoints.reviews.question import answered, read_question
from server.endpoints.route import Target, Verb
from server.request.model import Request, Response, user_info

_INVALID = "invalid bearer token"


async def review_self(env: Env, request: Request, target: Target) -> Response:
    obj = await read_question(env, request, target)
    return answered(obj, {"userInfo": user_info(request.user)})


def review_token(tokens: TokenAuthenticator) -> Verb:
    async def create(env: Env, request: Request, target: Target) -> Response:
        obj = await read_question(env, request, target)
        spec = obj.get("spec") or {}
        if not spec.get("token"):
            raise BadRequest("token is required for TokenReview in authentication")
        return answered(obj, await _token_status(tokens, spec))

    return create


async def _token_status(tokens: TokenAuthenticator, spec: Obj) -> Obj:
    try:
        found = await tokens.authenticate_token(spec["token"], tuple(spec.get("audiences") or ()))
    except Unauthorized as err:
        why = f"[{_INVALID}, {err.__cause__}]" if err.__cause__ else _INVALID
        return {"user": {}, "error": why}
    if found is None:
        return {"user": {}, "error": _INVALID}
    return {
        "authenticated": True,
        "user": user_info(found.user),
        "audiences": list(found.audiences),
    }
