"""ResourceClaimTemplate: what claims are made from, one for each pod."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    validate_annotations,
    validate_labels,
)
from edgek.kinds.device_checks import GROUP
from edgek.kinds.device_claims import default_claim, validate_claim_devices
from edgek.kinds.kind import Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.strategy import ensure

SPEC = FieldPath("spec")


def _default(obj: Obj) -> None:
    default_claim(ensure(obj, "spec", "spec"))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    meta, path = get_path(obj, "spec", "metadata", default={}), SPEC.child("metadata")
    validate_labels(meta.get("labels"), path.child("labels"), errors)
    validate_annotations(meta.get("annotations"), path.child("annotations"), errors)
    for field, value in meta.items():
        if value and field not in ("labels", "annotations"):
            errors.forbidden(path.child(field), "cannot be set")
    spec = get_path(obj, "spec", "spec", default={})
    validate_claim_devices(spec, SPEC.child("spec"), errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("spec"), old.get("spec"), SPEC, errors)


RESOURCE_CLAIM_TEMPLATE = Kind(
    group=GROUP,
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "camera", "namespace": "default"},
        "spec": {
            "spec": {
                "devices": {
                    "requests": [{"name": "camera", "exactly": {"deviceClassName": "cameras"}}]
                }
            }
        },
    },
)
