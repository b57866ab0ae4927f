"""Storage: claims, volumes and classes as the scheduler sees them, and what it assumes of them.

A decision that gives a claim a volume, or a node to be provisioned on, holds at once, like a pod
that is assumed on its node; as AssumeCache upstream. ``volume_choice`` asks, ``volume_binding``
writes what was assumed.
"""

from dataclasses import dataclass, field

from edgek.api.meta import Key, Obj, annotations, get_path
from edgek.kinds.storage_checks import class_of as class_name
from edgek.kinds.volume_match import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE

__all__ = [
    "BOUND_BY_CONTROLLER",
    "SELECTED_NODE",
    "WAIT",
    "Storage",
    "class_name",
    "is_bound",
    "volume_name",
]

WAIT = "WaitForFirstConsumer"


def volume_name(claim: Obj) -> str:
    return str(get_path(claim, "spec", "volumeName", default=""))


def is_bound(claim: Obj) -> bool:
    """Both sides know: the annotation is the binder's, the phase what it says in the end."""
    if not volume_name(claim):
        return False
    phase = get_path(claim, "status", "phase")
    return BIND_COMPLETED in annotations(claim) or phase == "Bound"


@dataclass(frozen=True, kw_only=True)
class Storage:
    """``taken`` and ``chosen`` are assumed: volumes for claims, and nodes for claims."""

    claims: dict[Key, Obj] = field(default_factory=dict)
    volumes: dict[str, Obj] = field(default_factory=dict)
    classes: dict[str, Obj] = field(default_factory=dict)
    drivers: dict[str, Obj] = field(default_factory=dict)
    """CSINodes, by the name of their node."""
    taken: dict[str, Key] = field(default_factory=dict)
    chosen: dict[Key, str] = field(default_factory=dict)

    def waits_for_pod(self, claim: Obj) -> bool:
        """Its class wants the pod's node to be known before there is a volume; as
        IsDelayBindingMode. A class that is not there says nothing."""
        found = self.classes.get(class_name(claim))
        return found is not None and found.get("volumeBindingMode") == WAIT

    def selected_node(self, key: Key) -> str:
        """The node that the claim's volume is being made for, or ""."""
        if key in self.chosen:
            return self.chosen[key]
        claim = self.claims.get(key)
        return annotations(claim).get(SELECTED_NODE, "") if claim else ""

    def volume_of(self, key: Key) -> Obj | None:
        """The volume of a bound claim; None while there is none (or it is not there)."""
        claim = self.claims.get(key)
        return self.volumes.get(volume_name(claim)) if claim and is_bound(claim) else None
