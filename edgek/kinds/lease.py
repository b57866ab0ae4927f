"""Lease: a heartbeat or a lock; memory only, it costs no disk write."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_not_negative
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, Column, Kind

SPEC = FieldPath("spec")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As ValidateLeaseSpec."""
    spec = obj.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.invalid(SPEC.child("leaseDurationSeconds"), seconds, "must be greater than 0")
    check_not_negative(spec.get("leaseTransitions"), SPEC.child("leaseTransitions"), errors)
    if spec.get("strategy") is None and spec.get("preferredHolder"):
        text = "may only be specified if `strategy` is defined"
        errors.forbidden(SPEC.child("preferredHolder"), text)


LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    durability="volatile",
    columns=(
        NAME,
        Column(
            name="Holder", read=cell("spec", "holderIdentity"), description="Who holds the lease."
        ),
        AGE,
    ),
    validate=_validate,
    example={
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "worker-1", "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": "worker-1", "leaseDurationSeconds": 40},
    },
)
