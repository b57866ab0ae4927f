"""CSIDriver: what a storage driver that is installed in the cluster needs and can do."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum
from edgek.kinds.columns import NONE, cell
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.storage_checks import GROUP, UNSET
from edgek.kinds.strategy import ensure

SPEC = FieldPath("spec")
DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}
FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLE_MODES = ("Ephemeral", "Persistent")
LEAST_PERIOD = 10
LEAST_TOKEN_SECONDS = 600
MAX_TOKEN_SECONDS = 2**32


def _default(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    for field, value in DEFAULTS.items():
        if spec.get(field) is None:
            spec[field] = value
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    path = SPEC.child("fsGroupPolicy")
    check_enum(spec.get("fsGroupPolicy"), FS_GROUP_POLICIES, path, errors, required=False)
    path = SPEC.child("volumeLifecycleModes")
    for mode in spec.get("volumeLifecycleModes") or ():
        check_enum(mode, LIFECYCLE_MODES, path, errors)
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < LEAST_PERIOD:
        path = SPEC.child("nodeAllocatableUpdatePeriodSeconds")
        errors.invalid(path, period, "must be greater than or equal to 10 seconds")
    _validate_tokens(spec.get("tokenRequests") or [], SPEC.child("tokenRequests"), errors)


def _validate_tokens(requests: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    seen: set[str] = set()
    for index, request in enumerate(requests):
        audience, seconds = request.get("audience") or "", request.get("expirationSeconds")
        where = path.index(index).child("expirationSeconds")
        if audience in seen:
            errors.duplicate(path.index(index).child("audience"), audience)
            continue
        seen.add(audience)
        if seconds is not None and seconds < LEAST_TOKEN_SECONDS:
            errors.invalid(where, seconds, "may not specify a duration less than 10 minutes")
        if seconds is not None and seconds > MAX_TOKEN_SECONDS:
            errors.invalid(where, seconds, "may not specify a duration larger than 2^32 seconds")


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    had, has = old.get("spec") or {}, new.get("spec") or {}
    # Upstream names the first one so.
    for field, shown in (
        ("attachRequired", "attachedRequired"),
        ("volumeLifecycleModes", "volumeLifecycleModes"),
    ):
        immutable(has.get(field), had.get(field), SPEC.child(shown), errors)


def _audiences(obj: Obj) -> str:
    requests = get_path(obj, "spec", "tokenRequests", default=())
    return ",".join(request.get("audience") or "" for request in requests) or UNSET


def _flag(name: str, field: str, *, default: bool, description: str) -> Column:
    read = cell("spec", field, default=default)
    return Column(name=name, read=read, type="boolean", description=description)


CSI_DRIVER = Kind(
    group=GROUP,
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    columns=(
        NAME,
        _flag(
            "AttachRequired",
            "attachRequired",
            default=True,
            description="Whether volumes are attached to nodes.",
        ),
        _flag(
            "PodInfoOnMount",
            "podInfoOnMount",
            default=False,
            description="Whether the driver is told of the pod.",
        ),
        _flag(
            "StorageCapacity",
            "storageCapacity",
            default=False,
            description="Whether the driver tells what space it has.",
        ),
        Column(name="TokenRequests", read=_audiences, description="Tokens the driver is given."),
        _flag(
            "RequiresRepublish",
            "requiresRepublish",
            default=False,
            description="Whether volumes are published again and again.",
        ),
        Column(
            name="Modes",
            read=lambda obj: (
                ",".join(get_path(obj, "spec", "volumeLifecycleModes", default=())) or NONE
            ),
            description="Volumes of which life span it has.",
        ),
        AGE,
    ),
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": "disks.example.com"},
        "spec": {"attachRequired": False},
    },
)
