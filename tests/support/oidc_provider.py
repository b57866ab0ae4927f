"""A small OpenID provider over HTTPS: discovery, a key set, and tokens signed with any key."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.https_peer import Peer, https_peer

_CURVES = {"ES256": (ec.SECP256R1(), 32), "ES384": (ec.SECP384R1(), 48),
           "ES512": (ec.SECP521R1(), 66)}  # fmt: skip
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, size: int = 0) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    """One key of the provider, good for one algorithm."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid, self.algorithm = kid, algorithm
        self._private: Any
        if algorithm.startswith("ES"):
            self._private = ec.generate_private_key(_CURVES[algorithm][0])
        else:
            self._private = rsa.generate_private_key(65537, 2048)

    def jwk(self) -> dict[str, str]:
        numbers = self._private.public_key().public_numbers()
        shared = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm.startswith("ES"):
            curve, size = _CURVES[self.algorithm]
            name = {256: "P-256", 384: "P-384", 521: "P-521"}[curve.key_size]
            point = {"x": _number(numbers.x, size), "y": _number(numbers.y, size)}
            return {**shared, "kty": "EC", "crv": name, **point}
        return {**shared, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}

    def sign(self, claims: dict[str, Any], *, algorithm: str = "") -> str:
        """``algorithm``: what the header claims, where it is another one."""
        header = {"alg": algorithm or self.algorithm, "kid": self.kid}
        signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
        digest = _HASHES[self.algorithm[2:]]
        if self.algorithm.startswith("ES"):
            der = self._private.sign(signed.encode(), ec.ECDSA(digest))
            size = _CURVES[self.algorithm][1]
            raw = b"".join(n.to_bytes(size, "big") for n in decode_dss_signature(der))
            return f"{signed}.{encoded(raw)}"
        scheme: Any = padding.PKCS1v15()
        if self.algorithm.startswith("PS"):
            scheme = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        return f"{signed}.{encoded(self._private.sign(signed.encode(), scheme, digest))}"


@dataclass(kw_only=True)
class Provider:
    """``asked`` are the paths that were fetched; ``keys`` what the key set says now."""

    keys: list[Key]
    asked: list[str] = field(default_factory=list)
    peer: Peer | None = None
    claimed_issuer: str = ""

    @property
    def issuer(self) -> str:
        assert self.peer is not None
        return f"https://127.0.0.1:{self.peer.port}"

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/.well-known/openid-configuration":
            about = {
                "issuer": self.claimed_issuer or self.issuer, "jwks_uri": f"{self.issuer}/keys"
            }  # fmt: skip
            return web.json_response(about)
        return web.json_response({"keys": [key.jwk() for key in self.keys]})


@asynccontextmanager
async def oidc_provider(*keys: Key) -> AsyncIterator[Provider]:
    provider = Provider(keys=list(keys))
    async with https_peer(provider.serve) as peer:
        provider.peer = peer
        yield provider
