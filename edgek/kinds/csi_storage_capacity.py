"""CSIStorageCapacity: how much of a class a driver has where."""

from edgek.api.meta import Obj
from edgek.api.quantity import canonical
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.checks import check_label_selector, check_quantity
from edgek.kinds.columns import cell
from edgek.kinds.kind import NAME, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.storage_checks import GROUP, UNSET
from edgek.kinds.storage_warnings import warn_of_storage_capacity


def _validate(obj: Obj, errors: FieldErrors) -> None:
    check_label_selector(obj.get("nodeTopology"), FieldPath("nodeTopology"), errors)
    name = obj.get("storageClassName") or ""
    for problem in is_dns1123_subdomain(name):
        errors.invalid(FieldPath("storageClassName"), name, problem)
    for field in ("capacity", "maximumVolumeSize"):
        if obj.get(field) is not None:
            check_quantity(obj[field], FieldPath(field), errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """What was asked of the driver stays; its answer changes."""
    for field in ("nodeTopology", "storageClassName"):
        immutable(new.get(field), old.get(field), FieldPath(field), errors)


def _capacity(obj: Obj) -> str:
    found = obj.get("capacity")
    return UNSET if found is None else canonical(found)


CSI_STORAGE_CAPACITY = Kind(
    group=GROUP,
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    columns=(
        NAME,
        Column(
            name="StorageClassName",
            read=cell("storageClassName"),
            description="Which class it is about.",
        ),
        Column(name="Capacity", read=_capacity, description="How much there is."),
    ),
    validate=_validate,
    validate_update=_validate_update,
    warn=warn_of_storage_capacity,
    example={
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIStorageCapacity",
        "metadata": {"name": "fast-rack-1", "namespace": "default"},
        "storageClassName": "fast",
        "nodeTopology": {"matchLabels": {"disks.example.com/zone": "rack-1"}},
        "capacity": "500Gi",
    },
)
