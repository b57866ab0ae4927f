"""POST serviceaccounts/NAME/token: a token for the account (TokenRequest).

What it may say is decided in ``server/authn/tokens.py``; whether a node may have it, by the Node
authorizer and by admission, as for any other write.
"""

from server.authn.tokens import TOKEN_REQUEST, TokenIssuer, issue_token
from server.endpoints.body import read_typed
from server.endpoints.env import Env
from server.endpoints.query import write_context
from server.endpoints.route import Target, Verb
from server.registry.write import attributes_of
from server.request.model import Request, Response
from server.request.reader import Reader


def create_token(*, issuer: TokenIssuer, reader: Reader) -> Verb:
    """The verb ``create`` of (serviceaccounts, token)."""

    async def create(env: Env, request: Request, target: Target) -> Response:
        asked = await read_typed(request, TOKEN_REQUEST.api_version, TOKEN_REQUEST.kind)
        context = write_context(request)
        attributes = attributes_of("CREATE", target.kind, target.key, context, obj=asked)
        attributes.subresource = "token"
        await env.registry.chain.run(attributes)
        answer = issue_token(
            attributes.obj, account=target.key, reader=reader, issuer=issuer,
            dry_run=attributes.dry_run, warn=request.warnings.append,
        )  # fmt: skip
        return Response(status=201, obj=answer)

    return create
