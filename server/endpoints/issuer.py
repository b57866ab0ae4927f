"""OpenID discovery of our own tokens: others who take them find the keys here.

As pkg/serviceaccount/openidmetadata.go. RBAC says who may read it; nothing here is secret.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from edgek.api.errors import MethodNotAllowed, NotFound
from server.authn.jwt import SigningKey
from server.request.model import Handler, Request, Response

CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
_HEADERS = {"Cache-Control": "public, max-age=3600"}


def issuer_metadata(*, issuer: str, jwks_uri: str, key: SigningKey) -> Mapping[str, Handler]:
    """Path -> handler."""
    about = {
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    return {
        CONFIGURATION: _document(CONFIGURATION, about, "application/json"),
        KEYS: _document(KEYS, {"keys": [key.jwk()]}, "application/jwk-set+json"),
    }


def _document(path: str, content: Any, content_type: str) -> Handler:
    body = orjson.dumps(content)

    async def handle(request: Request) -> Response:
        if request.path.rstrip("/") != path:
            raise NotFound.path()
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("only GET is possible here")
        return Response(body=body, content_type=content_type, headers=dict(_HEADERS))

    return handle
