"""PersistentVolumeClaim: a pod's wish for storage that outlives it."""

from edgek.api.meta import Obj, deep_copy, get_path
from edgek.api.quantity import canonical
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.persistent_volume_claim_validation import validate_claim, validate_claim_update
from edgek.kinds.storage_checks import UNSET, access_modes, class_of, phase
from edgek.kinds.storage_warnings import warn_of_claim
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default

SNAPSHOT = ("snapshot.storage.k8s.io", "VolumeSnapshot")
CLAIM = ("", "PersistentVolumeClaim")


def _default(obj: Obj) -> None:
    set_default(ensure(obj, "spec"), "volumeMode", "Filesystem")


def _prepare(obj: Obj, old: Obj | None) -> None:
    keep_status(obj, old)
    if old is None:
        obj["status"] = {"phase": "Pending"}
    _complete_sources(ensure(obj, "spec"), old)


def _complete_sources(spec: Obj, old: Obj | None) -> None:
    """As EnforceDataSourceBackwardsCompatibility and NormalizeDataSources: the old field knows
    claims and snapshots alone; each of the two fields is told by the other."""
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    is_new = ref is None and get_path(old, "spec", "dataSource") is None
    if source is not None and is_new and _what(source) not in (CLAIM, SNAPSHOT):
        source = None
        del spec["dataSource"]
    if ref is not None and ref.get("namespace"):
        return
    if source is not None and ref is None:
        spec["dataSourceRef"] = deep_copy(source)
    elif ref is not None and source is None:
        spec["dataSource"] = deep_copy(ref)


def _what(ref: Obj) -> tuple[str, str]:
    return ref.get("apiGroup") or "", ref.get("kind") or ""


def _capacity(obj: Obj) -> str:
    if not get_path(obj, "spec", "volumeName"):
        return ""
    return canonical(get_path(obj, "status", "capacity", "storage", default="0"))


def _modes(obj: Obj) -> str:
    if not get_path(obj, "spec", "volumeName"):
        return ""
    return access_modes(get_path(obj, "status", "accessModes"))


PERSISTENT_VOLUME_CLAIM = Kind(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    columns=(
        NAME,
        Column(name="Status", read=phase, description="Whether it has its volume."),
        Column(
            name="Volume",
            read=cell("spec", "volumeName", default=""),
            description="The volume it is bound to.",
        ),
        Column(name="Capacity", read=_capacity, description="The volume's size."),
        Column(name="Access Modes", read=_modes, description="How the volume may be mounted."),
        Column(name="StorageClass", read=class_of, description="The class it asks for."),
        Column(
            name="VolumeAttributesClass",
            read=cell("spec", "volumeAttributesClassName", default=UNSET),
            description="The class of what may be changed of its volume.",
        ),
        AGE,
        Column(
            name="VolumeMode",
            read=cell("spec", "volumeMode", default=UNSET),
            priority=1,
            description="Whether it wants a file system.",
        ),
    ),
    subresources=(STATUS,),
    default=_default,
    prepare=_prepare,
    prepare_status=only_status,
    validate=validate_claim,
    validate_update=validate_claim_update,
    warn=warn_of_claim,
    example={
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "slow",
        },
    },
)
