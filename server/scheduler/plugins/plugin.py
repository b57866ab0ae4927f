"""What a plugin is: a predicate or a preference, prepared once per pod shape.

As the scheduler framework's Filter and Score, but ``prepare`` answers None where the pod gives
the plugin nothing to look at (upstream's Skip), so that most pods meet two or three checks.

Local plugins look at one node alone; their verdicts are kept until that node changes. Cluster
plugins weigh nodes against each other and run each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto

from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import NodeInfo, Snapshot

Reasons = tuple[str, ...]
Check = Callable[[NodeInfo], Reasons]
"""The reasons against the node, each as users read it behind a count; none: it will do."""
Rate = Callable[[NodeInfo], float]
"""0 (worst) to 100 (best)."""
PASS: Reasons = ()


class Change(Flag):
    """What can happen that helps a pod no node would take."""

    NODE = auto()
    """A node is new, or differs in labels, taints, room or being schedulable."""
    POD_GONE = auto()
    POD_PLACED = auto()


@dataclass(frozen=True, kw_only=True)
class Filter:
    name: str
    prepare: Callable[[PodInfo], Check | None]
    helped_by: Change = Change.NODE


@dataclass(frozen=True, kw_only=True)
class Score:
    name: str
    weight: float
    prepare: Callable[[PodInfo], Rate | None]


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """What a cluster plugin made of the snapshot: either part may be absent."""

    check: Check | None = None
    rate: Rate | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterPlugin:
    name: str
    weight: float
    prepare: Callable[[PodInfo], Callable[[Snapshot], Weighing] | None]
    helped_by: Change = Change.NODE | Change.POD_GONE | Change.POD_PLACED
