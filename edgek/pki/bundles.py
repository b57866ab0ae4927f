"""A bundle of CA certificates: what is in it, and what is wrong with it in upstream's words.

As pkg/apis/certificates/validation validateTrustBundle. Text between the blocks is let be.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*?\n(.*?)-----END \1-----", re.DOTALL)


def ca_problems(text: str) -> list[str]:
    """Empty where all blocks are certificates of CAs, each there once."""
    found: dict[bytes, list[int]] = {}
    problems = []
    for index, (kind, body) in enumerate(_blocks(text)):
        der, problem = _read(kind, body)
        if problem:
            problems.append(f"entry {index} {problem}")
        else:
            found.setdefault(der, []).append(index)
    if problems:
        return problems
    if not found:
        return ["at least one trust anchor must be provided"]
    doubles = (places for places in found.values() if len(places) > 1)
    return [f"duplicate trust anchor (indices [{' '.join(map(str, d))}])" for d in doubles]


def anchors(text: str) -> set[bytes]:
    """The certificates of a bundle as DER, unchecked."""
    found = set()
    for _, body in _blocks(text):
        with suppress(ValueError):
            found.add(base64.b64decode(body))
    return found


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    for match in _BLOCK.finditer(text.replace("\r\n", "\n")):
        yield match[1], match[2]


def _read(kind: str, body: str) -> tuple[bytes, str]:
    """The certificate's bytes, and what is wrong with it."""
    from cryptography import x509

    if kind != "CERTIFICATE":
        return b"", f"has bad block type: {kind}"
    if ":" in body:
        return b"", "has PEM block headers"
    try:
        der = base64.b64decode(body)
        certificate = x509.load_der_x509_certificate(der)
        is_ca = _is_ca(certificate)
    except ValueError:
        return b"", "does not parse as X.509"
    return der, "" if is_ca else "does not have the CA bit set"


def _is_ca(certificate: object) -> bool:
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return constraints.value.ca
