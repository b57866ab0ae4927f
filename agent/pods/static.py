"""A static pod: from the text of a manifest to the pod that runs. Pure.

As pkg/kubelet/config/common.go: one pod a file, named after the node too, its uid the hash of what
it says, with the defaults and checks of the API. It may refer to nothing that only the API has,
so it runs without. What is wrong is a ``ManifestError`` with the sentence a user needs.
"""

import hashlib
from typing import Any

import orjson

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj, annotations, get_path
from edgek.api.validation import FieldErrors
from edgek.kinds import POD
from edgek.kinds.metadata import validate_object_meta
from edgek.kinds.pod_references import references
from edgek.kinds.priority_class import SYSTEM_CLASSES

SOURCE = "kubernetes.io/config.source"
HASH = "kubernetes.io/config.hash"
SEEN = "kubernetes.io/config.seen"
MIRROR = "kubernetes.io/config.mirror"
TOLERATION = {"operator": "Exists", "effect": "NoExecute"}
"""So that nothing wrong with the node evicts the mirror."""
_VOLUMES = (
    ("csi", "csidrivers (via CSI volumes)"),
    ("glusterfs", "endpoints (via glusterFS volumes)"),
    ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
    ("azureFile", "secrets (via azureFile volumes)"),
)
_SOURCES = (
    ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
    ("clusterTrustBundle", "clustertrustbundles"),
    ("podCertificate", "podcertificates"),
)


class ManifestError(Exception):
    """Why a manifest is no static pod."""


def read_manifest(data: bytes, *, path: str, node_name: str, seen: str) -> Obj:
    """``seen`` is when the file was first met. Raises ManifestError."""
    pod = _decoded(data)
    if not pod["metadata"].get("name"):
        raise ManifestError("invalid pod: name is needed for the pod")
    POD.default(pod)
    own = pod["metadata"].get("uid") or _hash(pod, path=path, node_name=node_name)
    _place(pod, node_name=node_name, uid=own, seen=seen)
    POD.prepare(pod, None)
    _validate(pod)
    if what := api_reference(pod):
        raise ManifestError(f"static pods may not reference {what}")
    return pod


def mirror_of(pod: Obj, node: Obj) -> Obj:
    """The object that shows a static pod in the API; ``node`` is our Node, which owns it."""
    meta = pod["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node["metadata"]["name"],
        "uid": node["metadata"]["uid"],
        "controller": True,
    }
    made: Obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "annotations": {**annotations(pod), MIRROR: annotations(pod)[HASH]},
            "ownerReferences": [owner],
        },
        "spec": pod["spec"],
    }
    if meta.get("labels"):
        made["metadata"]["labels"] = meta["labels"]
    return made


def is_mirror(pod: Obj) -> bool:
    return MIRROR in annotations(pod)


def shows(mirror: Obj, pod: Obj) -> bool:
    """Whether the mirror is of this very pod."""
    return annotations(mirror).get(MIRROR) == annotations(pod).get(HASH)


def api_reference(pod: Obj) -> str:
    """What the pod refers to that only the API has, in upstream's words; "" for nothing.
    As podutil.HasAPIObjectReference."""
    spec = pod["spec"]
    if spec.get("serviceAccountName"):
        return "serviceaccounts"
    named = {plural for plural, _ in references(pod)}
    for plural in ("secrets", "configmaps"):
        if plural in named:
            return plural
    if spec.get("resourceClaims"):
        return "resourceclaims"
    if "persistentvolumeclaims" in named:
        return "persistentvolumeclaims"
    for volume in spec.get("volumes") or ():
        for source in (volume, *get_path(volume, "projected", "sources", default=[])):
            for field, what in _VOLUMES if source is volume else _SOURCES:
                if source.get(field) is not None:
                    return what
    return ""


def _decoded(data: bytes) -> Obj:
    """One Pod, with nothing in it that the API does not know."""
    from edgek.schema import schema_of  # late: only a node with manifests needs them
    from edgek.schema.check import Checker, strict_problems
    from edgek.schema.decode_yaml import decode_yaml

    try:
        obj, duplicates = decode_yaml(data)
    except BadRequest as err:
        if "single document" in err.message:
            raise ManifestError("there are several documents; one pod each file") from None
        raise ManifestError(f"couldn't parse as pod({err.message})") from None
    _check_kind(obj)
    try:
        checked = Checker().check(obj, schema_of(POD), version="v1", kind="Pod")
    except BadRequest as err:
        raise ManifestError(f"couldn't parse as pod({err.message})") from None
    if problems := strict_problems(checked.unknown, duplicates):
        raise ManifestError(f"strict decoding error: {', '.join(problems)}")
    pod = checked.obj
    pod["metadata"] = pod.get("metadata") or {}
    pod["spec"] = pod.get("spec") or {}
    return pod


def _check_kind(obj: Any) -> None:
    if not isinstance(obj, dict):
        raise ManifestError("couldn't parse as pod(the file holds no object)")
    given = (obj.get("apiVersion"), obj.get("kind"))
    if given != ("v1", "Pod"):
        raise ManifestError(f"it is {given[1]} of {given[0]}; a static pod is a Pod of v1")


def _hash(pod: Obj, *, path: str, node_name: str) -> str:
    """Two nodes, or two files, of one text have two pods."""
    text = orjson.dumps(pod, option=orjson.OPT_SORT_KEYS)
    found = hashlib.md5(usedforsecurity=False)
    found.update(f"host:{node_name}file:{path}".encode() + text)
    return found.hexdigest()


def _place(pod: Obj, *, node_name: str, uid: str, seen: str) -> None:
    meta, spec = pod["metadata"], pod["spec"]
    meta["name"] = f"{meta['name']}-{node_name.lower()}"
    meta["namespace"] = meta.get("namespace") or "default"
    meta["uid"] = uid
    meta["creationTimestamp"] = seen
    meta["annotations"] = {**annotations(pod), HASH: uid, SEEN: seen, SOURCE: "file"}
    spec["nodeName"] = node_name
    tolerations = spec.get("tolerations") or []
    if TOLERATION not in tolerations:
        spec["tolerations"] = [*tolerations, TOLERATION]
    named = spec.get("priorityClassName")
    known = next((c for c in SYSTEM_CLASSES if c["metadata"]["name"] == named), None)
    if known is not None and spec.get("priority") is None:  # what admission does for others
        spec["priority"] = known["value"]


def _validate(pod: Obj) -> None:
    problems = FieldErrors()
    validate_object_meta(pod, problems, namespaced=True, validate_name=POD.validate_name)
    POD.validate(pod, problems)
    if problems:
        raise ManifestError(f"invalid pod: {'; '.join(map(str, problems))}")
