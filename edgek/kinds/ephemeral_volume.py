"""Ephemeral volumes: claims that come and go with their pod.

As ValidatePersistentVolumeClaimTemplate. Apart from volume_validation, because volumes and claims
would import each other.
"""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, validate_annotations, validate_labels
from edgek.kinds.persistent_volume_claim_validation import validate_claim_spec


def validate_ephemeral_volumes(volumes: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    for index, volume in enumerate(volumes):
        source = volume.get("ephemeral")
        if source is None:
            continue
        where = path.index(index).child("ephemeral", "volumeClaimTemplate")
        template = source.get("volumeClaimTemplate")
        if template is None:
            errors.required(where)
        else:
            _validate_template(template, where, errors)


def _validate_template(template: Obj, path: FieldPath, errors: FieldErrors) -> None:
    meta, where = template.get("metadata") or {}, path.child("metadata")
    validate_labels(meta.get("labels"), where.child("labels"), errors)
    validate_annotations(meta.get("annotations"), where.child("annotations"), errors)
    for field, value in meta.items():
        if value and field not in ("labels", "annotations"):
            errors.forbidden(where.child(field), "cannot be set")
    validate_claim_spec(template.get("spec") or {}, path.child("spec"), errors)
