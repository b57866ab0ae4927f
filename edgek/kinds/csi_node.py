"""CSINode: the storage drivers that a node has (upstream: ValidateCSINode)."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_not_negative, repeated
from edgek.kinds.columns import count_column
from edgek.kinds.kind import AGE, NAME, STATUS, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.storage_checks import GROUP, check_driver_name
from edgek.kinds.strategy import carry, only_status

DRIVERS = FieldPath("spec").child("drivers")
MAX_NODE_ID = 256


def _drivers(obj: Obj) -> list[Obj]:
    found: list[Obj] = get_path(obj, "spec", "drivers", default=[])
    return found


def _validate(obj: Obj, errors: FieldErrors) -> None:
    seen: set[str] = set()
    for index, driver in enumerate(_drivers(obj)):
        path, name = DRIVERS.index(index), driver.get("name") or ""
        check_driver_name(name, path.child("name"), errors)
        _validate_node_id(driver.get("nodeID") or "", path.child("nodeID"), errors)
        limit = get_path(driver, "allocatable", "count")
        check_not_negative(limit, path.child("allocatable", "count"), errors)
        if name in seen:
            errors.duplicate(path.child("name"), name)
        seen.add(name)
        _validate_topology(driver.get("topologyKeys") or [], path, errors)


def _validate_node_id(node_id: str, path: FieldPath, errors: FieldErrors) -> None:
    if not node_id:
        errors.required(path)
    if len(node_id) > MAX_NODE_ID:
        errors.invalid(path, node_id, f"must be {MAX_NODE_ID} characters or less")


def _validate_topology(keys: list[str], path: FieldPath, errors: FieldErrors) -> None:
    again = repeated(keys)
    for index, key in enumerate(keys):
        if not key:
            errors.required(path)
        if index in again:
            errors.duplicate(path, key)
        for problem in is_qualified_name(key):
            errors.invalid(path, key, problem)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """A driver comes and goes; while it is there, only its limit changes."""
    before = {driver.get("name"): driver for driver in _drivers(old)}
    for driver in _drivers(new):
        if (had := before.get(driver.get("name"))) is not None:
            immutable(_fixed(driver), _fixed(had), DRIVERS, errors)


def _fixed(driver: Obj) -> Obj:
    return {field: value for field, value in driver.items() if field != "allocatable"}


def _prepare(obj: Obj, old: Obj | None) -> None:
    carry(obj, old, "status")


CSI_NODE = Kind(
    group=GROUP,
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    columns=(
        NAME,
        count_column("Drivers", "spec", "drivers", description="How many drivers the node has."),
        AGE,
    ),
    subresources=(STATUS,),
    prepare=_prepare,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": "worker-1"},
        "spec": {
            "drivers": [
                {
                    "name": "disks.example.com",
                    "nodeID": "worker-1",
                    "topologyKeys": ["disks.example.com/zone"],
                    "allocatable": {"count": 16},
                }
            ]
        },
    },
)
