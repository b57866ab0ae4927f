"""Signatures of other people's JSON Web Tokens: RSA and ECDSA, with keys from a JWK set.

RFC 7515, 7517, 7518. The caller says which algorithms it takes; an algorithm only goes with keys
of its own type, so nothing the token says turns one kind of key into another.
"""

from typing import TYPE_CHECKING, Any

from server.authn.jwt import Claims, decode_part, decode_segment

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = EllipticCurvePublicKey | RSAPublicKey

_CURVES = {"P-256": ("ES256", 32), "P-384": ("ES384", 48), "P-521": ("ES512", 66)}
_MIN_RSA_BITS = 2048


def key_id(token: str) -> str:
    """Raises ValueError where there is no readable header."""
    return str(decode_part(token.partition(".")[0]).get("kid") or "")


def verify(token: str, key: Claims, algorithms: tuple[str, ...]) -> Claims:
    """The claims, signed by this JWK. Raises ValueError."""
    signed, _, signature = token.rpartition(".")
    head, _, body = signed.partition(".")
    algorithm = str(decode_part(head).get("alg"))
    if algorithm not in algorithms or key.get("alg") not in (None, algorithm):
        raise ValueError("signed with an algorithm that is not accepted")
    if key.get("use") not in (None, "sig"):
        raise ValueError("signed with a key that is not for signatures")
    check = _check_ec if algorithm.startswith("ES") else _check_rsa
    if not check(key, algorithm, signed.encode(), decode_segment(signature)):
        raise ValueError("invalid signature")
    return decode_part(body)


def _check_rsa(key: Claims, algorithm: str, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    if key.get("kty") != "RSA":
        raise ValueError("the key is not one for this algorithm")
    public = rsa.RSAPublicNumbers(_number(key, "e"), _number(key, "n")).public_key()
    if public.key_size < _MIN_RSA_BITS:
        raise ValueError("the key is too short")
    digest = _digest(algorithm)
    scheme: Any = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        scheme = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
    try:
        public.verify(signature, signed, scheme, digest)
    except InvalidSignature:
        return False
    return True


def _check_ec(key: Claims, algorithm: str, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    wanted, size = _CURVES.get(str(key.get("crv")), ("", 0))
    if key.get("kty") != "EC" or wanted != algorithm:
        raise ValueError("the key is not one for this algorithm")
    if len(signature) != 2 * size:
        return False
    curves: dict[str, ec.EllipticCurve] = {
        "ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1(),
    }  # fmt: skip
    numbers = ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), curves[algorithm])
    r, s = (int.from_bytes(part, "big") for part in (signature[:size], signature[size:]))
    try:
        der = encode_dss_signature(r, s)
        numbers.public_key().verify(der, signed, ec.ECDSA(_digest(algorithm)))
    except InvalidSignature:
        return False
    return True


def _digest(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes

    return {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]


def _number(key: Claims, field: str) -> int:
    return int.from_bytes(decode_segment(str(key.get(field) or "")), "big")
