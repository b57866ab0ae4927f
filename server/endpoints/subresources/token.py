"""POST serviceaccounts/NAME/token: a token for the account (TokenRequest).

What it may say is decided in ``server/authn/tokens.py``; whether a node may have it, by the Node
authorizer and by admission, as for any other write.
"""

from server.admission.chain import Attributes
from server.authn.tokens import TOKEN_REQUEST, TokenIssuer, issue_token
from server.endpoints.body import read_typed
from server.endpoints.env import Env
from server.endpoints.query import dry_run
from server.endpoints.route import Target, Verb
from server.request.model import Request, Response
from server.request.reader import Reader


def create_token(*, issuer: TokenIssuer, reader: Reader) -> Verb:
    """The verb ``create`` of (serviceaccounts, token)."""

    async def create(env: Env, request: Request, target: Target) -> Response:
        asked = await read_typed(request, TOKEN_REQUEST.api_version, TOKEN_REQUEST.kind)
        attributes = Attributes(
            operation="CREATE",
            kind=target.kind,
            namespace=target.key.namespace,
            name=target.key.name,
            subresource="token",
            user=request.user,
            obj=asked,
            dry_run=dry_run(request.query),
        )
        await env.registry.chain.admit(attributes)
        await env.registry.chain.validate(attributes)
        answer = issue_token(
            attributes.obj, account=target.key, reader=reader, issuer=issuer,
            dry_run=attributes.dry_run, warn=request.warnings.append,
        )  # fmt: skip
        return Response(status=201, obj=answer)

    return create
