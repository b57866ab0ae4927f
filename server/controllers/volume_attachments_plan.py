"""Which volumes are to be attached to a node, and which of those there may go; pure.

As pkg/controller/volume/attachdetach as far as objects go: volumes of CSI drivers only, because
no other is attached by somebody else than the node.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgek.api.meta import Obj, get_path, is_deleting, name
from edgek.kinds.pods import is_terminal

GROUP_VERSION = "storage.k8s.io/v1"
SHARED = {"ReadWriteMany", "ReadOnlyMany"}


def driver_of(volume: Obj) -> str:
    """ "" where it is not of CSI."""
    return str(get_path(volume, "spec", "csi", "driver", default=""))


def unique_name(volume: Obj) -> str:
    """As nodes call it in volumesInUse and volumesAttached."""
    handle = get_path(volume, "spec", "csi", "volumeHandle", default="")
    return f"kubernetes.io/csi/{driver_of(volume)}^{handle}"


def attachment_of(volume: Obj, node: str) -> Obj:
    """As csi_attacher: the name follows from what it is of, so that it is never made twice."""
    handle, driver = get_path(volume, "spec", "csi", "volumeHandle", default=""), driver_of(volume)
    digest = hashlib.sha256(f"{handle}{driver}{node}".encode()).hexdigest()
    source = {"persistentVolumeName": name(volume)}
    return {
        "apiVersion": GROUP_VERSION,
        "kind": "VolumeAttachment",
        "metadata": {"name": f"csi-{digest}"},
        "spec": {"attacher": driver, "nodeName": node, "source": source},
    }


def volume_name(attachment: Obj) -> str:
    return str(get_path(attachment, "spec", "source", "persistentVolumeName", default=""))


def node_of(attachment: Obj) -> str:
    return str(get_path(attachment, "spec", "nodeName", default=""))


def is_attached(attachment: Obj) -> bool:
    return bool(get_path(attachment, "status", "attached", default=False))


def still_uses(pod: Obj) -> bool:
    """Until its containers have ended, also while it is being deleted."""
    if is_terminal(pod):
        return False
    if not is_deleting(pod):
        return True
    statuses = get_path(pod, "status", "containerStatuses", default=())
    running = any("running" in (s.get("state") or {}) for s in statuses)
    return running or not statuses


def is_exclusive(volume: Obj) -> bool:
    return not SHARED & set(get_path(volume, "spec", "accessModes", default=()))


@dataclass(frozen=True, kw_only=True)
class AttachPlan:
    """``refused`` volumes are attached to another node that they cannot leave yet; ``waits`` are
    attachments that may go once the node no longer says that it uses their volume."""

    attach: Sequence[Obj] = ()
    detach: Sequence[Obj] = ()
    waits: Sequence[Obj] = ()
    refused: Sequence[Obj] = ()


def plan_attachments(
    node: str,
    wanted: Mapping[str, Obj],
    attachments: Mapping[str, Sequence[Obj]],
    *,
    in_use: Callable[[str], bool],
) -> AttachPlan:
    """``wanted``: volumes by name. ``attachments``: of these volumes and of this node, by volume.
    ``in_use``: whether the node has (or may have) a volume mounted, by name."""
    attach: list[Obj] = []
    refused: list[Obj] = []
    for _, volume in sorted(wanted.items()):
        found = attachments.get(name(volume), ())
        if any(node_of(a) == node for a in found):
            continue
        if is_exclusive(volume) and any(node_of(a) != node for a in found):
            refused.append(volume)
        else:
            attach.append(attachment_of(volume, node))
    here = [a for found in attachments.values() for a in found if node_of(a) == node]
    leaving = [a for a in here if volume_name(a) not in wanted and not is_deleting(a)]
    waits = [a for a in leaving if in_use(volume_name(a))]
    return AttachPlan(
        attach=attach,
        detach=[a for a in leaving if a not in waits],
        waits=waits,
        refused=refused,
    )
