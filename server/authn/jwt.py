"""JSON Web Tokens, as far as we issue and take them: ES256 and nothing else (RFC 7515, 7518).

One algorithm, named by us and never chosen by the token, leaves no room for the classic attacks.
What the claims mean is not known here.
"""

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from edgek.pki.keys import load_key, public_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

Claims = dict[str, Any]
_SIZE = 32  # bytes of each of the two numbers of a P-256 signature


class SigningKey:
    """Signs with one key, verifies what that key has signed."""

    def __init__(self, pem: bytes) -> None:
        self._private = load_key(pem)
        self._public = self._private.public_key()
        self.key_id = _encode(hashlib.sha256(public_pem(pem)).digest())

    def jwk(self) -> Claims:
        """The public half, as others find it in our JWK set."""
        numbers = self._public.public_numbers()
        x, y = (_encode(n.to_bytes(_SIZE, "big")) for n in (numbers.x, numbers.y))
        return {
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": x, "y": y,
        }  # fmt: skip

    def sign(self, claims: Claims) -> str:
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        header = {"alg": "ES256", "kid": self.key_id}
        signed = f"{_encode(orjson.dumps(header))}.{_encode(orjson.dumps(claims))}"
        r, s = decode_dss_signature(self._private.sign(signed.encode(), _algorithm()))
        return f"{signed}.{_encode(r.to_bytes(_SIZE, 'big') + s.to_bytes(_SIZE, 'big'))}"

    def verify(self, token: str) -> Claims:
        """The claims. Raises ValueError for anything that this key has not signed."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")
        header = decode_part(head)
        if header.get("alg") != "ES256" or header.get("kid") != self.key_id:
            raise ValueError("signed by another key")
        raw = decode_segment(signature)
        if len(raw) != 2 * _SIZE:
            raise ValueError("malformed signature")
        numbers = (int.from_bytes(part, "big") for part in (raw[:_SIZE], raw[_SIZE:]))
        try:
            self._public.verify(encode_dss_signature(*numbers), signed.encode(), _algorithm())
        except InvalidSignature as err:
            raise ValueError("invalid signature") from err
        return decode_part(body)


def looks_like_jwt(token: str) -> bool:
    return token.count(".") == 2


def peek_claims(token: str) -> Claims:
    """What a token says without anybody vouching for it: only good for asking the right one.
    Empty where it is no JWT."""
    try:
        return decode_part(token.split(".")[1])
    except (ValueError, IndexError):
        return {}


def _algorithm() -> "ECDSA":
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256())


def decode_part(part: str) -> Claims:
    """A JSON object out of base64. Raises ValueError."""
    found = orjson.loads(decode_segment(part))
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object")
    return found


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_segment(text: str) -> bytes:
    """Raises ValueError where it is not base64 as JWTs have it."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as err:
        raise ValueError("malformed base64") from err
