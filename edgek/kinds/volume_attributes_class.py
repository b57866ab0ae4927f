"""VolumeAttributesClass: what of a volume may be changed while it is in use."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, Column, Kind
from edgek.kinds.storage_checks import (
    GROUP,
    check_kept,
    check_parameters,
    check_provisioner,
    name_and_default,
)

DEFAULT_CLASS = "volumeattributesclass.alpha.kubernetes.io/is-default-class"


def _validate(obj: Obj, errors: FieldErrors) -> None:
    check_provisioner(obj.get("driverName") or "", FieldPath("driverName"), errors)
    check_parameters(obj.get("parameters"), FieldPath("parameters"), errors, required=True)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    for field in ("driverName", "parameters"):
        check_kept(new, old, field, errors)


VOLUME_ATTRIBUTES_CLASS = Kind(
    group=GROUP,
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    short_names=("vac",),
    namespaced=False,
    columns=(
        name_and_default(DEFAULT_CLASS),
        Column(name="DriverName", read=cell("driverName"), description="Whose volumes they are."),
        AGE,
    ),
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttributesClass",
        "metadata": {"name": "gold"},
        "driverName": "disks.example.com",
        "parameters": {"iops": "4000"},
    },
)
