"""PodCertificateRequest: a node asks for a certificate for one of its pods.

As ValidatePodCertificateRequestCreate and ...StatusUpdate. Whether the chain that a signer
writes fits the request is left to the node that asked.
"""

import base64

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain, validate_annotations
from edgek.kinds.certificate_signing_request import validate_signer
from edgek.kinds.conditions_validation import validate_conditions
from edgek.kinds.kind import NAME, STATUS, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.rbac import CREATED_AT
from edgek.kinds.strategy import ensure, keep_status, only_status

SPEC = FieldPath("spec")
STATUS_PATH = FieldPath("status")
CONDITIONS = STATUS_PATH.child("conditions")
FINAL = ("Denied", "Failed", "Issued")
DAY = 24 * 3600
LEAST_SECONDS = 3600
MAX_SECONDS = 91 * DAY
MAX_UID = 128
MAX_REQUEST = 10 * 1024
MAX_CHAIN = 100 * 1024
TIMES = {
    "notBefore": "must be present and consistent with the issued certificate",
    "notAfter": "must be present and consistent with the issued certificate",
    "beginRefreshAt": "must be present and in the range [notbefore+10min, notafter-10min]",
}
_ONE = 'There may be at most one condition with type "Issued", "Denied", or "Failed"'
_NOT_YET = 'status is immutable unless transitioning to "Issued", "Denied", or "Failed"'
_DONE = "immutable after PodCertificateRequest is issued, denied, or failed"
_ALONE = (
    "non-condition status fields must be empty when denying or failing the PodCertificateRequest"
)
_NO_CHAIN = "issued certificate chain must contain at least one certificate"


def _default(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    if spec.get("maxExpirationSeconds") is None:
        spec["maxExpirationSeconds"] = DAY


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    validate_signer(spec.get("signerName") or "", errors)
    path = SPEC.child("unverifiedUserAnnotations")
    validate_annotations(spec.get("unverifiedUserAnnotations"), path, errors)
    for who in ("pod", "serviceAccount", "node"):
        _validate_who(spec, who, errors)
    _validate_duration(spec, errors)
    _validate_request(spec.get("stubPKCS10Request") or "", errors)
    _validate_conditions(obj, errors)


def _validate_who(spec: Obj, who: str, errors: FieldErrors) -> None:
    name, uid = spec.get(f"{who}Name") or "", spec.get(f"{who}UID") or ""
    for problem in is_dns1123_subdomain(name):
        errors.invalid(SPEC.child(f"{who}Name"), name, problem)
    if not uid:
        errors.invalid(SPEC.child(f"{who}UID"), uid, "must not be empty")
    if len(uid) > MAX_UID:
        errors.too_long(SPEC.child(f"{who}UID"), MAX_UID)


def _validate_duration(spec: Obj, errors: FieldErrors) -> None:
    seconds, path = spec.get("maxExpirationSeconds"), SPEC.child("maxExpirationSeconds")
    domain = (spec.get("signerName") or "").partition("/")[0]
    ours = domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    most = DAY if ours else MAX_SECONDS
    if seconds is None:
        errors.required(path, "must be set")
    elif not LEAST_SECONDS <= seconds <= most:
        errors.invalid(path, seconds, f"must be in the range [{LEAST_SECONDS}, {most}]")


def _validate_request(encoded: str, errors: FieldErrors) -> None:
    from cryptography import x509

    path = SPEC.child("stubPKCS10Request")
    if len(encoded) > MAX_REQUEST * 4 // 3 + 4:
        errors.too_long(path, MAX_REQUEST)
        return
    try:
        request = x509.load_der_x509_csr(base64.b64decode(encoded))
        valid = request.is_signature_valid
    except ValueError:
        errors.invalid(path, "<value omitted>", "must be a valid PKCS#10 certificate request")
        return
    if not valid:
        text = "could not verify proof-of-possession signature"
        errors.invalid(path, "<value omitted>", text)


def _conditions(obj: Obj) -> list[Obj]:
    found: list[Obj] = get_path(obj, "status", "conditions", default=[])
    return found


def _validate_conditions(obj: Obj, errors: FieldErrors) -> None:
    known = 0
    for index, condition in enumerate(_conditions(obj)):
        kind, path = condition.get("type") or "", CONDITIONS.index(index)
        if kind not in FINAL:
            errors.not_supported(path.child("type"), kind, FINAL)
            continue
        known += 1
        if known > 1:
            errors.invalid(path.child("type"), kind, _ONE)
        if condition.get("status") != "True":
            errors.not_supported(path.child("status"), condition.get("status") or "", ("True",))
    validate_conditions(_conditions(obj), CONDITIONS, errors)


def _outcome(obj: Obj) -> str:
    """``Issued``, ``Denied``, ``Failed``, or "" while it waits."""
    done = (c["type"] for c in _conditions(obj) if c.get("status") == "True")
    return next((kind for kind in done if kind in FINAL), "")


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("spec"), old.get("spec"), SPEC, errors)
    has, had = new.get("status") or {}, old.get("status") or {}
    outcome = _outcome(new)
    if errors or has == had:
        return
    if _outcome(old):
        errors.invalid(STATUS_PATH, "<value omitted>", _DONE)
    elif not outcome:
        errors.invalid(STATUS_PATH, "<value omitted>", _NOT_YET)
    elif outcome == "Issued":
        _validate_issued(has, errors)
    elif any(value for field, value in has.items() if field != "conditions"):
        errors.invalid(STATUS_PATH, "<value omitted>", _ALONE)


def _validate_issued(status: Obj, errors: FieldErrors) -> None:
    chain, path = status.get("certificateChain") or "", STATUS_PATH.child("certificateChain")
    if len(chain) > MAX_CHAIN:
        errors.too_long(path, MAX_CHAIN)
    elif "-----BEGIN CERTIFICATE-----" not in chain:
        errors.invalid(path, chain, _NO_CHAIN)
    for field, text in TIMES.items():
        if not status.get(field):
            errors.required(STATUS_PATH.child(field), text)


_EXAMPLE = (
    "MH8wMwIBADAAMCowBQYDK2VwAyEAPjUui095KqBFGpHmiOlDZpQ6IvEcuvmzg63TFffu4XWgADAFBgMr"
    "ZXADQQCGUAJhe5wSBMlVnYZmgHi822aKAOCA2H1RIyh9nyKyA8BAV3ELmGwkEXV3A+3NFxDWyxHbmwZB"
    "oX9GBmmGsd4H"
)

POD_CERTIFICATE_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="PodCertificateRequest",
    plural="podcertificaterequests",
    columns=(NAME, CREATED_AT),
    subresources=(STATUS,),
    selectable=("spec.signerName", "spec.podName", "spec.nodeName"),
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "PodCertificateRequest",
        "metadata": {"name": "web-1", "namespace": "default"},
        "spec": {
            "signerName": "example.com/pods",
            "podName": "web",
            "podUID": "0e5a1f6c-8a4c-4f0a-9d0c-6f0f0f3f2b11",
            "serviceAccountName": "default",
            "serviceAccountUID": "5a3f1c9e-4a63-4d0f-9d6a-3c8c5f2a7e22",
            "nodeName": "worker-1",
            "nodeUID": "9b1d7c55-7c2e-4c49-8f6e-2f6b8f0f9c33",
            "stubPKCS10Request": _EXAMPLE,
        },
    },
)
