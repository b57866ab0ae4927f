"""Certificate signing requests: made by nodes, read and signed by the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from edgek.pki.certificates import KeyPair, Profile, issue, read_name
from edgek.pki.keys import fingerprint, load_key

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, kw_only=True)
class RequestDescription:
    """What a request asks for. ``key`` is the public key's fingerprint: whoever made the request
    holds the private key to it, as its signature proves."""

    common_name: str
    organizations: tuple[str, ...]
    names: frozenset[str]
    name_types: frozenset[str]
    """Of the names: some of DNS, IP, Email, URI, Other."""
    key: str


def new_request(key: bytes, *, common_name: str, organizations: Sequence[str]) -> bytes:
    """PEM of a request for a client certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    return builder.sign(load_key(key), hashes.SHA256()).public_bytes(Encoding.PEM)


def describe_request(pem: bytes) -> RequestDescription:
    """Raises ValueError where it is no request or its signature does not fit its key."""
    from cryptography.hazmat.primitives import serialization

    request = _load(pem)
    common_name, organizations = read_name(request.subject)
    names = _requested_names(request)
    public = request.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return RequestDescription(
        common_name=common_name,
        organizations=organizations,
        names=frozenset(str(name.value) for name in names),
        name_types=frozenset(_type_of(name) for name in names),
        key=fingerprint(public),
    )


def sign_request(pem: bytes, *, ca: KeyPair, profile: Profile, now: datetime) -> bytes:
    """PEM of a certificate for the request's key; ``profile`` alone decides what it says."""
    return issue(ca, profile, _load(pem).public_key(), now=now)


def _load(pem: bytes) -> "x509.CertificateSigningRequest":
    from cryptography import x509

    try:
        request = x509.load_pem_x509_csr(pem)
        valid = request.is_signature_valid
    except Exception as err:  # unsupported keys and broken DER come in many classes
        raise ValueError("not a readable certificate signing request") from err
    if not valid:
        raise ValueError("the certificate signing request's signature is not valid")
    return request


def _requested_names(request: "x509.CertificateSigningRequest") -> "list[x509.GeneralName]":
    from cryptography import x509

    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(found)


def _type_of(name: "x509.GeneralName") -> str:
    from cryptography import x509

    types = ((x509.DNSName, "DNS"), (x509.IPAddress, "IP"), (x509.RFC822Name, "Email"),
             (x509.UniformResourceIdentifier, "URI"))  # fmt: skip
    return next((text for cls, text in types if isinstance(name, cls)), "Other")
