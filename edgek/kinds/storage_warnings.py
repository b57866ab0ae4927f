"""What upstream warns of in volumes, claims, classes and Ingresses that are valid.

As pkg/api/persistentvolume, pkg/api/persistentvolumeclaim, pkg/api/storage and the strategy of
Ingresses. Nothing here refuses anything.
"""

from collections.abc import Iterator

from edgek.api.meta import Obj, annotations, get_path
from edgek.api.quantity import canonical, parse_quantity
from edgek.api.validation import FieldPath
from edgek.kinds.pod_warnings import deprecated_label
from edgek.kinds.storage_checks import BETA_CLASS

_CLASS = 'deprecated since v1.8; use "storageClassName" attribute instead'
_RECYCLE = (
    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the "
    "recommended approach is to use dynamic provisioning."
)
GONE = {
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "photonPersistentDisk": (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}


def warn_of_volume(volume: Obj, old: Obj | None) -> list[str]:
    spec, path = volume.get("spec") or {}, FieldPath("spec")
    found = list(_of_class(volume))
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(_RECYCLE)
    terms = get_path(spec, "nodeAffinity", "required", "nodeSelectorTerms", default=())
    for index, term in enumerate(terms):
        where = path.child("nodeAffinity", "required", "nodeSelectorTerms").index(index)
        found += _of_labels(term, where)
    for field, (shown, text) in GONE.items():
        if spec.get(field) is not None:
            found.append(f"{path.child(shown)}: {text}")
    amount = get_path(spec, "capacity", "storage")
    return [*found, *_of_bytes(amount, path.child("capacity").key("storage"))]


def warn_of_claim(claim: Obj, old: Obj | None) -> list[str]:
    found = list(_of_class(claim))
    for field in ("requests", "limits"):
        amount = get_path(claim, "spec", "resources", field, "storage")
        found += _of_bytes(amount, FieldPath("spec").child("resources", field).key("storage"))
    return found


def warn_of_storage_class(of: Obj, old: Obj | None) -> list[str]:
    found = []
    for index, term in enumerate(of.get("allowedTopologies") or ()):
        where = FieldPath("allowedTopologies").index(index).child("matchLabelExpressions")
        for number, expression in enumerate(term.get("matchLabelExpressions") or ()):
            if text := deprecated_label(expression.get("key") or ""):
                found.append(f"{where.index(number).child('key')}: {text}")
    return found


def warn_of_storage_capacity(capacity: Obj, old: Obj | None) -> list[str]:
    selector, path = capacity.get("nodeTopology") or {}, FieldPath("nodeTopology")
    labels = selector.get("matchLabels") or {}
    of_labels = [
        f"{path.child('matchLabels').key(label)}: {text}"
        for label in labels
        if (text := deprecated_label(label))
    ]
    return [*of_labels, *_of_labels(selector, path)]


def warn_of_ingress(ingress: Obj, old: Obj | None) -> list[str]:
    name = "kubernetes.io/ingress.class"
    given = get_path(ingress, "spec", "ingressClassName")
    if old is not None or given is not None or name not in annotations(ingress):
        return []
    return [f"annotation \"{name}\" is deprecated, please use 'spec.ingressClassName' instead"]


def _of_class(obj: Obj) -> Iterator[str]:
    if BETA_CLASS in annotations(obj):
        yield f"{FieldPath('metadata').child('annotations').key(BETA_CLASS)}: {_CLASS}"


def _of_bytes(amount: str | None, path: FieldPath) -> Iterator[str]:
    if amount is not None and parse_quantity(amount).denominator != 1:
        text = f'fractional byte value "{canonical(amount)}" is invalid, must be an integer'
        yield f"{path}: {text}"


def _of_labels(term: Obj, path: FieldPath) -> Iterator[str]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key") or ""
        if text := deprecated_label(key):
            where = path.child("matchExpressions").index(index).child("key")
            yield f"{where}: {key} is {text}"
