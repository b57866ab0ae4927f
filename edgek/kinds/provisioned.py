"""What server and agents say to each other about volumes that edgek makes itself; pure.

The server writes the PersistentVolume; a node makes the directory when it first mounts it. When
the claim is gone the server marks the volume with the node that is to take the data away, and
that node deletes the PersistentVolume when it has.
"""

from edgek.api.meta import Obj, annotations, get_path, labels, name
from edgek.kinds.storage_class import DEFAULT_CLASS
from edgek.kinds.volume_match import PROVISIONED_BY

LOCAL_PATH = "edgek.io/local-path"
NFS_DIRECTORY = "edgek.io/nfs"
PROVISIONERS = (LOCAL_PATH, NFS_DIRECTORY)

STORAGE_NODE = "edgek.io/storage-node"
"""Label of a PersistentVolume: the node that has its data, or is to take them away."""
STORAGE_DIRECTORY = "edgek.io/storage-directory"
"""Annotation of a Node: where it keeps local-path volumes."""
DEFAULT_STORAGE_DIRECTORY = "/var/lib/edgek/storage"
SHARE = "edgek.io/nfs-share"
"""Annotation of a PersistentVolume: the exported directory that its own lies in."""
ON_DELETE = "edgek.io/on-delete"
"""Annotation of a PersistentVolume: what becomes of its directory, ``archive`` or ``delete``."""

LOCAL_PATH_CLASS: Obj = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local-path", "annotations": {DEFAULT_CLASS: "true"}},
    "provisioner": LOCAL_PATH,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def provisioned_by(volume: Obj) -> str:
    return annotations(volume).get(PROVISIONED_BY, "")


def is_to_be_reclaimed(volume: Obj) -> bool:
    """Whether the claim of a volume that we made is gone, and its data are to go too."""
    return (
        provisioned_by(volume) in PROVISIONERS
        and get_path(volume, "status", "phase") == "Released"
        and get_path(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete"
    )


def may_reclaim(volume: Obj, node: str) -> bool:
    """Whether it is for this node to take the data away and delete the PersistentVolume."""
    return is_to_be_reclaimed(volume) and labels(volume).get(STORAGE_NODE) == node


def directory_name(volume_name: str, namespace: str, claim: str) -> str:
    """As local-path-provisioner: a directory tells whose it is."""
    return f"{volume_name}_{namespace}_{claim}"


def local_directory(volume: Obj) -> str:
    """The name of a local-path volume's directory, from the volume's identity alone: a path that
    somebody wrote into it cannot lead anywhere else."""
    ref = get_path(volume, "spec", "claimRef", default={})
    return directory_name(name(volume), ref.get("namespace") or "", ref.get("name") or "")
