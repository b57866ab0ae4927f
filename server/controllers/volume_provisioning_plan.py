"""The PersistentVolume of a claim whose class is one of ours; pure.

``local-path``: a directory of the node that the scheduler chose, as rancher's
local-path-provisioner. ``edgek.io/nfs``: a directory of a share, as
nfs-subdir-external-provisioner. Neither limits how much is written.
"""

import re
from typing import NamedTuple

from edgek.api.meta import Obj, annotations, get_path, labels, name, namespace, uid
from edgek.api.validation import is_label_value
from edgek.kinds.provisioned import (
    DEFAULT_STORAGE_DIRECTORY,
    LOCAL_PATH,
    NFS_DIRECTORY,
    ON_DELETE,
    SHARE,
    STORAGE_DIRECTORY,
    STORAGE_NODE,
    directory_name,
)
from edgek.kinds.volume_match import PROVISIONED_BY

VOLUME_TYPE, DEFAULT_VOLUME_TYPE = "volumeType", "defaultVolumeType"
"""Annotations of a claim and of its class, as local-path-provisioner has them."""
HOSTNAME = "kubernetes.io/hostname"
NFS_PARAMETERS = frozenset(
    ("server", "share", "path", "pathPattern", "archiveOnDelete", "onDelete", "mountOptions")
)
_VARIABLE = re.compile(r"\$\{\.?PVC\.(namespace|name|uid|annotations|labels)(?:\.([^}]+))?\}")


class Refused(Exception):
    """Why there will be no volume: event ProvisioningFailed."""


class Asked(NamedTuple):
    """A claim with its class, and the node its first pod was given to."""

    claim: Obj
    storage_class: Obj
    node: Obj | None


def plan_volume(asked: Asked) -> Obj:
    """Raises Refused."""
    claim, storage_class = asked.claim, asked.storage_class
    if get_path(claim, "spec", "selector"):
        raise Refused("claim.Spec.Selector is not supported")
    if get_path(claim, "spec", "dataSource") or get_path(claim, "spec", "dataSourceRef"):
        raise Refused("a dataSource is not supported: volumes are made empty")
    if get_path(claim, "spec", "volumeMode") == "Block":
        raise Refused("block volumes are not supported: a directory is no device")
    kind = storage_class["provisioner"]
    marks, own, spec = _MAKERS[kind](asked)
    ref = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace(claim),
           "name": name(claim), "uid": uid(claim)}  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {PROVISIONED_BY: kind, **marks},
            **({"labels": own} if own else {}),
        },
        "spec": {
            "accessModes": get_path(claim, "spec", "accessModes", default=[]),
            "capacity": {"storage": get_path(claim, "spec", "resources", "requests", "storage")},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": name(storage_class),
            "volumeMode": "Filesystem",
            "claimRef": ref,
            **spec,
        },
    }


def volume_name(claim: Obj) -> str:
    return f"pvc-{uid(claim)}"


Made = tuple[dict[str, str], dict[str, str], Obj]
"""Annotations, labels, and what the spec has of its own."""


def _local_path(asked: Asked) -> Made:
    claim, node = asked.claim, asked.node
    if node is None:
        raise Refused("no node was chosen: the class needs volumeBindingMode WaitForFirstConsumer")
    modes = set(get_path(claim, "spec", "accessModes", default=()))
    if not modes <= {"ReadWriteOnce", "ReadWriteOncePod"}:
        raise Refused("a directory of one node has only the access modes ReadWriteOnce and "
                      "ReadWriteOncePod")  # fmt: skip
    host = labels(node).get(HOSTNAME) or name(node)
    if is_label_value(name(node)):
        raise Refused(f"the name of node {name(node)} is too long for a label")
    root = annotations(node).get(STORAGE_DIRECTORY) or DEFAULT_STORAGE_DIRECTORY
    path = f"{root}/{directory_name(volume_name(claim), namespace(claim), name(claim))}"
    given = annotations(asked.storage_class).get(DEFAULT_VOLUME_TYPE) or "hostPath"
    kind = (annotations(claim).get(VOLUME_TYPE) or given).lower()
    sources: dict[str, Obj] = {
        "hostpath": {"hostPath": {"path": path, "type": "DirectoryOrCreate"}},
        "local": {"local": {"path": path}},
    }
    if kind not in sources:
        raise Refused(f'volumeType "{kind}" is not known: it is local or hostPath')
    expression = {"key": HOSTNAME, "operator": "In", "values": [host]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {}, {STORAGE_NODE: name(node)}, {**sources[kind], "nodeAffinity": affinity}


def _nfs_directory(asked: Asked) -> Made:
    parameters = asked.storage_class.get("parameters") or {}
    if unknown := sorted(parameters.keys() - NFS_PARAMETERS):
        raise Refused(f"parameter {unknown[0]} of the class is not known")
    server = parameters.get("server") or ""
    share = (parameters.get("share") or parameters.get("path") or "").rstrip("/")
    if not server or not share.startswith("/"):
        raise Refused("the class needs the parameters server and share, an absolute path")
    directory = nfs_directory(asked.claim, parameters.get("pathPattern") or "")
    marks = {SHARE: share, ON_DELETE: _on_delete(parameters)}
    # The class has a field of its own; the parameter is for those who write all into one place.
    options = list(asked.storage_class.get("mountOptions") or ())
    options += [o for o in (parameters.get("mountOptions") or "").split(",") if o]
    spec: Obj = {"nfs": {"server": server, "path": f"{share}/{directory}"}}
    return marks, {}, spec | ({"mountOptions": options} if options else {})


def _on_delete(parameters: Obj) -> str:
    """As nfs-subdir-external-provisioner, which archives where nothing is said."""
    if said := parameters.get("onDelete"):
        if said not in ("delete", "archive"):
            raise Refused(f'onDelete "{said}" is not known: it is delete or archive')
        return str(said)
    return "delete" if parameters.get("archiveOnDelete") == "false" else "archive"


def nfs_directory(claim: Obj, pattern: str) -> str:
    """A relative path; what people write into their claims cannot lead out of the share."""
    if not pattern:
        return f"{namespace(claim)}-{name(claim)}-{volume_name(claim)}"
    fields = {"namespace": namespace(claim), "name": name(claim), "uid": uid(claim)}
    maps = {"annotations": annotations(claim), "labels": labels(claim)}

    def read(match: re.Match[str]) -> str:
        which, key = match.groups()
        return fields.get(which) or str(maps.get(which, {}).get(key or "", ""))

    path = _VARIABLE.sub(read, pattern)
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in (".", "..") or "\0" in part for part in parts):
        raise Refused(f'pathPattern "{pattern}" gives no directory inside the share: "{path}"')
    return "/".join(parts)


_MAKERS = {LOCAL_PATH: _local_path, NFS_DIRECTORY: _nfs_directory}
