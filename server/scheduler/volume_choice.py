"""Which volumes a pod's unbound claims could have on a node; pure.

As component-helpers storage/volume FindMatchingVolume and volumebinding findMatchingVolumes: the
smallest volume that will do, or else a provisioner that can make one there. Only claims whose
class waits for the pod come here; all others are bound before any pod is placed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, name
from edgek.api.node_selector import NodeMatch, parse_term
from edgek.api.selectors import from_label_selector
from edgek.kinds.storage_checks import phase
from edgek.kinds.volume_match import asked, capacity, is_for
from server.scheduler.node_info import NodeInfo
from server.scheduler.storage import Storage, class_name

NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True, kw_only=True)
class VolumeChoice:
    """``static``: volumes that claims get. ``provision``: claims that a volume is made for."""

    node: str
    static: tuple[tuple[Key, str], ...] = ()
    provision: tuple[Key, ...] = ()

    @property
    def claims(self) -> tuple[Key, ...]:
        return (*(key for key, _ in self.static), *self.provision)


def choose_volumes(keys: Iterable[Key], node: NodeInfo, storage: Storage) -> VolumeChoice | None:
    """None: there is no way on this node."""
    static: list[tuple[Key, str]] = []
    provision: list[Key] = []
    for key in sorted(keys, key=lambda key: (asked(storage.claims[key]), key)):
        selected = storage.selected_node(key)
        if selected and selected != node.name:
            return None
        claim = storage.claims[key]
        found = "" if selected else _match(claim, node, storage, [v for _, v in static])
        if found:
            static.append((key, found))
        elif _can_provision(claim, node, storage):
            provision.append(key)
        else:
            return None
    return VolumeChoice(node=node.name, static=tuple(static), provision=tuple(provision))


def node_match(volume: Obj) -> NodeMatch | None:
    """Where a volume can be used; None: anywhere."""
    required = get_path(volume, "spec", "nodeAffinity", "required")
    if required is None:
        return None
    terms = [parse_term(term) for term in required.get("nodeSelectorTerms") or ()]
    return lambda name, labels: any(term(name, labels) for term in terms)


def reaches(volume: Obj, node: NodeInfo) -> bool:
    match = node_match(volume)
    return match is None or match(node.name, node.labels)


def _match(claim: Obj, node: NodeInfo, storage: Storage, taken: Sequence[str]) -> str:
    """The name of the smallest volume that will do, one that names the claim first; or ""."""
    found = [
        (not is_for(volume, claim), capacity(volume), name(volume))
        for volume in storage.volumes.values()
        if name(volume) not in taken
        and storage.taken.get(name(volume), key_of(claim)) == key_of(claim)
        and _will_do(volume, claim)
        and reaches(volume, node)
    ]
    return min(found)[2] if found else ""


def _will_do(volume: Obj, claim: Obj) -> bool:
    spec, wish = volume["spec"], claim["spec"]
    if is_deleting(volume):
        return False
    if spec.get("claimRef"):
        if not is_for(volume, claim):
            return False
    elif phase(volume) != "Available":
        return False
    selector = from_label_selector(wish.get("selector"))
    return (
        class_name(volume) == class_name(claim)
        and (spec.get("volumeMode") or "Filesystem") == (wish.get("volumeMode") or "Filesystem")
        and set(wish.get("accessModes") or ()) <= set(spec.get("accessModes") or ())
        and capacity(volume) >= asked(claim)
        and selector.matches(volume["metadata"].get("labels"))
    )


def _can_provision(claim: Obj, node: NodeInfo, storage: Storage) -> bool:
    found = storage.classes.get(class_name(claim)) or {}
    if found.get("provisioner") in (None, "", NO_PROVISIONER):
        return False
    allowed = found.get("allowedTopologies") or ()
    return not allowed or any(_allows(term, node.labels) for term in allowed)


def _allows(term: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    expressions = get_path(term, "matchLabelExpressions", default=[])
    return all(labels.get(e["key"]) in e["values"] for e in expressions)
