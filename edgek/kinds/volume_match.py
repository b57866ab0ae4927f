"""Which volume a claim can have, and the annotations by which binders speak to each other; pure.

As component-helpers storage/volume (pv_helpers.go). The bond of a claim and a volume is two
references: the volume's ``claimRef`` is written first, the claim's ``volumeName`` last, so that
no two claims can ever have one volume.
"""

from collections.abc import Iterable, Mapping

from edgek.api.meta import Obj, annotations, get_path, is_deleting, labels, name, namespace, uid
from edgek.api.node_selector import parse_term
from edgek.api.selectors import from_label_selector
from edgek.kinds.storage_checks import amount_of, class_of

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"


def asked(claim: Obj) -> int:
    """Bytes."""
    return amount_of(get_path(claim, "spec", "resources", "requests"))


def capacity(volume: Obj) -> int:
    return amount_of(get_path(volume, "spec", "capacity"))


def volume_mode(obj: Obj) -> str:
    return str(get_path(obj, "spec", "volumeMode", default="") or "Filesystem")


def has_completed(claim: Obj) -> bool:
    """Both references have been written once."""
    return BIND_COMPLETED in annotations(claim)


def claim_ref(volume: Obj) -> Obj | None:
    found: Obj | None = get_path(volume, "spec", "claimRef")
    return found


def is_for(volume: Obj, claim: Obj) -> bool:
    """Whether the volume names the claim, by hand (without a uid) or for good."""
    ref = claim_ref(volume)
    if ref is None or (ref.get("namespace"), ref.get("name")) != (namespace(claim), name(claim)):
        return False
    return not ref.get("uid") or ref["uid"] == uid(claim)


def mismatch(volume: Obj, claim: Obj) -> str:
    """Why a volume that a claim asks for by name will not do; "" where it will."""
    if asked(claim) > capacity(volume):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    attributes = "volumeAttributesClassName"
    if (get_path(claim, "spec", attributes) or "") != (get_path(volume, "spec", attributes) or ""):
        return "volumeAttributesClassName does not match"
    if volume_mode(volume) != volume_mode(claim):
        return "incompatible volumeMode"
    if not _has_modes(volume, claim):
        return "incompatible accessMode"
    return ""


def _has_modes(volume: Obj, claim: Obj) -> bool:
    wanted = get_path(claim, "spec", "accessModes", default=())
    return set(wanted) <= set(get_path(volume, "spec", "accessModes", default=()))


def reaches(volume: Obj, node: str, node_labels: Mapping[str, str]) -> bool:
    """Whether the volume can be used on the node."""
    required = get_path(volume, "spec", "nodeAffinity", "required")
    if required is None:
        return True
    terms = required.get("nodeSelectorTerms") or ()
    return any(parse_term(term)(node, node_labels) for term in terms)


def best_match(
    claim: Obj, volumes: Iterable[Obj], *, only_named: bool = False, node: Obj | None = None
) -> Obj | None:
    """A volume that names the claim, else the one with the fewest access modes and the smallest.

    ``only_named``: no other will do, because the claim waits for a pod. ``node``: must be able
    to use it. As FindMatchingVolume; names decide between equals, where upstream has no order.
    """
    selector = from_label_selector(get_path(claim, "spec", "selector"))
    fit: list[tuple[bool, int, int, str, Obj]] = []
    for volume in volumes:
        named = is_for(volume, claim)
        if not named and (only_named or not _is_free(volume)):
            continue
        if not named and not (class_of(volume) == class_of(claim)
                              and selector.matches(labels(volume))):  # fmt: skip
            continue
        if is_deleting(volume) or not _will_do(volume, claim):
            continue
        if node is not None and not reaches(volume, name(node), labels(node)):
            continue
        modes = len(get_path(volume, "spec", "accessModes", default=()))
        fit.append((not named, modes, capacity(volume), name(volume), volume))
    return min(fit, key=lambda found: found[:4])[4] if fit else None


def _is_free(volume: Obj) -> bool:
    return claim_ref(volume) is None and get_path(volume, "status", "phase") == "Available"


def _will_do(volume: Obj, claim: Obj) -> bool:
    """All that holds for named volumes, too."""
    return (
        capacity(volume) >= asked(claim)
        and volume_mode(volume) == volume_mode(claim)
        and _has_modes(volume, claim)
    )
