"""PersistentVolume: a piece of storage that a claim may be bound to."""

from edgek.api.meta import Obj, get_path
from edgek.api.quantity import canonical
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.persistent_volume_validation import validate_volume, validate_volume_update
from edgek.kinds.storage_checks import UNSET, access_modes, class_of, phase
from edgek.kinds.storage_warnings import warn_of_volume
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default


def _default(obj: Obj) -> None:
    """As SetDefaults_PersistentVolume and the defaults of its sources."""
    spec = ensure(obj, "spec")
    set_default(spec, "persistentVolumeReclaimPolicy", "Retain")
    set_default(spec, "volumeMode", "Filesystem")
    if (host_path := spec.get("hostPath")) and host_path.get("type") is None:
        host_path["type"] = ""
    if iscsi := spec.get("iscsi"):
        set_default(iscsi, "iscsiInterface", "default")
    if claim := spec.get("claimRef"):
        set_default(claim, "kind", "PersistentVolumeClaim")
        set_default(claim, "apiVersion", "v1")


def _prepare(obj: Obj, old: Obj | None) -> None:
    keep_status(obj, old)
    if old is None:
        obj["status"] = {"phase": "Pending"}
        if created := obj["metadata"].get("creationTimestamp"):
            obj["status"]["lastPhaseTransitionTime"] = created


def _capacity(obj: Obj) -> str:
    return canonical(get_path(obj, "spec", "capacity", "storage", default="0"))


def _claim(obj: Obj) -> str:
    ref = get_path(obj, "spec", "claimRef")
    return "" if ref is None else f"{ref.get('namespace') or ''}/{ref.get('name') or ''}"


PERSISTENT_VOLUME = Kind(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    short_names=("pv",),
    namespaced=False,
    columns=(
        NAME,
        Column(name="Capacity", read=_capacity, description="Its size."),
        Column(
            name="Access Modes",
            read=lambda obj: access_modes(get_path(obj, "spec", "accessModes")),
            description="From where it may be mounted, and how.",
        ),
        Column(
            name="Reclaim Policy",
            read=cell("spec", "persistentVolumeReclaimPolicy", default=""),
            description="What becomes of it once its claim is gone.",
        ),
        Column(name="Status", read=phase, description="Whether a claim has it."),
        Column(name="Claim", read=_claim, description="The claim that has it."),
        Column(name="StorageClass", read=class_of, description="The class it belongs to."),
        Column(
            name="VolumeAttributesClass",
            read=cell("spec", "volumeAttributesClassName", default=UNSET),
            description="The class of what may be changed of it.",
        ),
        Column(
            name="Reason",
            read=cell("status", "reason", default=""),
            description="Why it is in its state.",
        ),
        AGE,
        Column(
            name="VolumeMode",
            read=cell("spec", "volumeMode", default=UNSET),
            priority=1,
            description="Whether it holds a file system.",
        ),
    ),
    subresources=(STATUS,),
    default=_default,
    prepare=_prepare,
    prepare_status=only_status,
    validate=validate_volume,
    validate_update=validate_volume_update,
    warn=warn_of_volume,
    example={
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "disk-1"},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/srv/disk-1"},
            "storageClassName": "slow",
        },
    },
)
