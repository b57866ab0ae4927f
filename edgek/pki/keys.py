"""ECDSA P-256 private keys as PEM: small and fast on boards, and spoken by every TLS library."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


def new_key() -> bytes:
    """PEM (PKCS#8, not encrypted) of a fresh key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_key(pem: bytes) -> "EllipticCurvePrivateKey":
    """Raises ValueError where this is no EC private key."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError) as err:
        raise ValueError("not a readable private key") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an EC private key")
    return key


def public_pem(key_pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return (
        load_key(key_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def fingerprint(public_der: bytes) -> str:
    """``SHA256:<hex>`` of a public key (SubjectPublicKeyInfo in DER): the name of a key."""
    return "SHA256:" + hashlib.sha256(public_der).hexdigest()


def key_fingerprint(key_pem: bytes) -> str:
    """Of the public half of a private key. Raises ValueError where it is none."""
    from cryptography.hazmat.primitives import serialization

    return fingerprint(
        load_key(key_pem)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
