"""Making and reading X.509 certificates.

``issue`` is the only place where a certificate is signed. Validity starts a day in the past,
because boards without a battery clock come up behind the time.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from edgek.pki.keys import fingerprint, load_key, new_key

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

CA_DAYS = 3650
LEAF_DAYS = 365
CLOCK_SLACK = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM. The repr hides the key."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(...)"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a certificate says, in plain values."""

    common_name: str
    organizations: tuple[str, ...]
    names: frozenset[str]
    """Subject alternative names: DNS names and addresses as text."""
    not_before: datetime
    not_after: datetime
    key: str
    """Fingerprint of the public key."""
    issuer: str


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Who a certificate is for and what it may do."""

    common_name: str
    organizations: Sequence[str] = ()
    names: Iterable[str] = ()
    server: bool = False
    client: bool = False
    duration: timedelta = timedelta(days=LEAF_DAYS)


def new_ca(common_name: str, *, now: datetime, days: int = CA_DAYS) -> KeyPair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    pem = new_key()
    key = load_key(pem)
    name = _name(common_name, ())
    builder = (
        _dated(x509.CertificateBuilder(), now, timedelta(days=days))
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return KeyPair(certificate=_pem(builder.sign(key, hashes.SHA256())), key=pem)


def new_pair(ca: KeyPair, profile: Profile, *, now: datetime) -> KeyPair:
    """A fresh key with a certificate for it."""
    key = new_key()
    return KeyPair(certificate=issue(ca, profile, load_key(key).public_key(), now=now), key=key)


def issue(
    ca: KeyPair, profile: Profile, public: "CertificatePublicKeyTypes", *, now: datetime
) -> bytes:
    """PEM of a certificate that never outlives its CA."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

    signer = _load(ca.certificate)
    usages = [u for u, on in ((Usage.SERVER_AUTH, profile.server),
                              (Usage.CLIENT_AUTH, profile.client)) if on]  # fmt: skip
    duration = min(profile.duration, signer.not_valid_after_utc - now)
    ca_key = load_key(ca.key)
    builder = (
        _dated(x509.CertificateBuilder(), now, duration)
        .subject_name(_name(profile.common_name, profile.organizations))
        .issuer_name(signer.subject)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    names = [_general_name(n) for n in sorted(set(profile.names))]
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _pem(builder.sign(ca_key, hashes.SHA256()))


def describe(certificate: bytes) -> Description:
    """Reads PEM or DER. Raises ValueError where it is neither."""
    from cryptography.hazmat.primitives import serialization

    cert = _load(certificate)
    common_name, organizations = read_name(cert.subject)
    public = cert.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Description(
        common_name=common_name,
        organizations=organizations,
        names=_alternative_names(cert),
        not_before=cert.not_valid_before_utc,
        not_after=cert.not_valid_after_utc,
        key=fingerprint(public),
        issuer=read_name(cert.issuer)[0],
    )


def is_signed_by(certificate: bytes, ca: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        _load(certificate).verify_directly_issued_by(_load(ca))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def read_name(name: "x509.Name") -> tuple[str, tuple[str, ...]]:
    """Common name and organizations of a subject."""
    from cryptography.x509.oid import NameOID

    common = [str(a.value) for a in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(a.value) for a in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return (common[-1] if common else ""), tuple(groups)


def _load(data: bytes) -> "x509.Certificate":
    from cryptography import x509

    if data.lstrip().startswith(b"-----"):
        return x509.load_pem_x509_certificate(data)
    return x509.load_der_x509_certificate(data)


def _name(common_name: str, organizations: Sequence[str]) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _dated(
    builder: "x509.CertificateBuilder", now: datetime, duration: timedelta
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + duration)
    )


def _key_usage(*, ca: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not ca, key_cert_sign=ca, crl_sign=ca,
        content_commitment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(text: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _alternative_names(cert: "x509.Certificate") -> frozenset[str]:
    from cryptography import x509

    try:
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = found.get_values_for_type(x509.IPAddress)
    return frozenset(found.get_values_for_type(x509.DNSName)) | {str(a) for a in addresses}


def _pem(cert: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return cert.public_bytes(Encoding.PEM)
