"""CertificateSigningRequest: a request for a client or serving certificate."""

import base64
from datetime import timedelta

from edgek.api.meta import Obj, deep_copy, get_path
from edgek.api.time import human_duration
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain, is_path_segment
from edgek.kinds.checks import check_enum, repeated
from edgek.kinds.columns import NONE, cell
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind, Subresource
from edgek.kinds.strategy import carry, keep_status

SPEC = FieldPath("spec")
CONDITIONS = FieldPath("status").child("conditions")
DECISIONS = ("Approved", "Denied")
PERMANENT = (*DECISIONS, "Failed")
LEAST_SECONDS = 600
LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign",
    "data encipherment", "decipher only", "digital signature", "email protection",
    "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement",
    "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip


def _prepare(obj: Obj, old: Obj | None) -> None:
    """What was asked never changes. Who asked is filled in by the registry, into its own copy."""
    keep_status(obj, old)
    if old is not None:
        obj["spec"] = deep_copy(old.get("spec") or {})


def _prepare_status(obj: Obj, old: Obj | None) -> None:
    """Signers write the certificate; approval and denial are left to ``/approval``."""
    if old is None:
        return
    carry(obj, old, "spec")
    status = obj.get("status") or {}
    decided = [c for c in _conditions(old) if c.get("type") in DECISIONS]
    other = [c for c in status.get("conditions") or () if c.get("type") not in DECISIONS]
    obj["status"] = {**status, "conditions": [*decided, *other]}
    if not obj["status"]["conditions"]:
        del obj["status"]["conditions"]


def _conditions(obj: Obj) -> list[Obj]:
    found: list[Obj] = get_path(obj, "status", "conditions", default=[])
    return found


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    _validate_request(spec.get("request") or "", errors)
    validate_signer(spec.get("signerName") or "", errors)
    if not spec.get("usages"):
        errors.required(SPEC.child("usages"))
    usages = spec.get("usages") or []
    again = repeated(usages)
    for index, usage in enumerate(usages):
        check_enum(usage, USAGES, SPEC.child("usages").index(index), errors)
        if index in again:
            errors.duplicate(SPEC.child("usages").index(index), usage)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < LEAST_SECONDS:
        text = f"may not specify a duration less than {LEAST_SECONDS} seconds (10 minutes)"
        errors.invalid(SPEC.child("expirationSeconds"), seconds, text)
    _validate_conditions(_conditions(obj), errors)


def _validate_request(request: str, errors: FieldErrors) -> None:
    """PEM in base64; whether it is signed well is the signer's to see."""
    try:
        text = base64.b64decode(request, validate=True)
    except ValueError:
        text = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in text:
        path = SPEC.child("request")
        errors.invalid(path, request, "PEM block type must be CERTIFICATE REQUEST")


def validate_signer(name: str, errors: FieldErrors) -> None:
    """spec.signerName, also of other kinds of certificates.k8s.io."""
    path = SPEC.child("signerName")
    if not name:
        errors.required(path)
        return
    if name == LEGACY_SIGNER:
        errors.invalid(path, name, "the legacy signerName is not allowed via this API version")
        return
    domain, slash, rest = name.partition("/")
    if not slash or not rest or "." not in domain or is_dns1123_subdomain(domain):
        text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        errors.invalid(path, name, text)


def _validate_conditions(conditions: list[Obj], errors: FieldErrors) -> None:
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        path, kind = CONDITIONS.index(index), condition.get("type") or ""
        if not kind:
            errors.required(path.child("type"))
        elif kind in seen:
            errors.duplicate(path.child("type"), kind)
        seen.add(kind)
        if kind in PERMANENT:
            check_enum(condition.get("status"), ("True",), path.child("status"), errors)
    if seen >= set(DECISIONS):
        text = "Approved and Denied conditions are mutually exclusive"
        errors.invalid(CONDITIONS, sorted(seen), text)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """A decision is final, and so is an issued certificate."""
    now = {c.get("type") for c in _conditions(new)}
    for condition in _conditions(old):
        kind = condition.get("type")
        if kind in PERMANENT and kind not in now:
            text = f'updates may not remove a condition of type "{kind}"'
            errors.forbidden(CONDITIONS, text)
    had, has = get_path(old, "status", "certificate"), get_path(new, "status", "certificate")
    if had and has != had:
        text = "updates may not change a certificate that has been issued"
        errors.forbidden(FieldPath("status").child("certificate"), text)


def _duration(obj: Obj) -> str:
    seconds = get_path(obj, "spec", "expirationSeconds")
    return NONE if seconds is None else human_duration(timedelta(seconds=seconds))


def _state(obj: Obj) -> str:
    """``Approved,Issued``: the decision, then how it went."""
    types = {c.get("type") for c in _conditions(obj)}
    word = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        word += ",Failed"
    return word + (",Issued" if get_path(obj, "status", "certificate") else "")


CERTIFICATE_SIGNING_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    short_names=("csr",),
    namespaced=False,
    columns=(
        NAME,
        AGE,
        Column(
            name="SignerName", read=cell("spec", "signerName"), description="Who is to sign it."
        ),
        Column(name="Requestor", read=cell("spec", "username"), description="Who asked."),
        Column(name="RequestedDuration", read=_duration, description="How long it is to be valid."),
        Column(name="Condition", read=_state, description="What became of it."),
    ),
    subresources=(
        STATUS,
        Subresource(name="approval"),
    ),
    selectable=("spec.signerName",),
    prepare=_prepare,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=is_path_segment,
    example={
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "worker-1"},
        "spec": {
            "request": base64.b64encode(
                b"-----BEGIN CERTIFICATE REQUEST-----\nMIH=\n-----END CERTIFICATE REQUEST-----\n"
            ).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    },
)
