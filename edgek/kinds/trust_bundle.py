"""ClusterTrustBundle: certificates of CAs that workloads trust for one purpose."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain, is_path_segment
from edgek.kinds.certificate_signing_request import validate_signer
from edgek.kinds.columns import cell
from edgek.kinds.kind import NAME, Column, Kind
from edgek.kinds.metadata import METADATA, immutable

SPEC = FieldPath("spec")
BUNDLE = SPEC.child("trustBundle")
MAX_BUNDLE = 1024 * 1024
_OMITTED = "<value omitted>"
_EXAMPLE = """\
-----BEGIN CERTIFICATE-----
MIIBazCCARCgAwIBAgIUAKhNK+AP/4rxkPicqsG8KI18nT0wCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNTEyMzEwMDAwMDBaGA8yMTI1MTIwODAw
MDAwMFowEjEQMA4GA1UEAwwHZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABNw/j2+QtqO9Tm6/IQZwC1V+gvX2WBUMMjXHtjr3otov22O/9bc6DdInzNRK
NAWFDdWPs7hHVvs7esfSt7oWmuOjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0P
AQH/BAQDAgGGMB0GA1UdDgQWBBTbG7IqfphNgJuntLE2jB0tbdolQTAKBggqhkjO
PQQDAgNJADBGAiEAw21gIV1WxyN360nNkKPrFB8IjMAzFB1wvHC57fdQsIQCIQDj
ZGGEsxsS/n6xBz436JnszIoybX5uABVxD0lOjtkEwg==
-----END CERTIFICATE-----
"""


def _validate(obj: Obj, errors: FieldErrors) -> None:
    from edgek.pki.bundles import ca_problems  # late: few ever write one

    spec = obj.get("spec") or {}
    signer = spec.get("signerName") or ""
    for problem in _name_problems(obj["metadata"].get("name") or "", signer):
        errors.invalid(METADATA.child("name"), obj["metadata"].get("name") or "", problem)
    if signer:
        validate_signer(signer, errors)
    bundle = spec.get("trustBundle") or ""
    if len(bundle) > MAX_BUNDLE:
        errors.too_long(BUNDLE, MAX_BUNDLE)
        return
    for problem in ca_problems(bundle):
        errors.invalid(BUNDLE, _OMITTED, problem)


def _name_problems(name: str, signer: str) -> list[str]:
    """As ValidateClusterTrustBundleName: a signer's bundles begin with its name."""
    if not signer:
        if ":" in name:
            return ['ClusterTrustBundle without signer name must not have ":" in its name']
        return is_dns1123_subdomain(name)
    prefix = signer.replace("/", ":") + ":"
    if not name.startswith(prefix):
        return [f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"]
    return is_dns1123_subdomain(name.removeprefix(prefix))


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    has, had = (get_path(o, "spec", "signerName", default="") for o in (new, old))
    immutable(has, had, SPEC.child("signerName"), errors)


CLUSTER_TRUST_BUNDLE = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="ClusterTrustBundle",
    plural="clustertrustbundles",
    namespaced=False,
    columns=(
        NAME,
        Column(
            name="SignerName",
            read=cell("spec", "signerName", default=""),
            description="Whose certificates they vouch for.",
        ),
    ),
    selectable=("spec.signerName",),
    validate=_validate,
    validate_update=_validate_update,
    validate_name=is_path_segment,
    example={
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "ClusterTrustBundle",
        "metadata": {"name": "example.com:ours:2026"},
        "spec": {"signerName": "example.com/ours", "trustBundle": _EXAMPLE},
    },
)
