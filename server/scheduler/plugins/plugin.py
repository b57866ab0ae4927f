"""What a plugin is: a predicate or a preference, prepared once per pod shape.

As the scheduler framework's Filter and Score, but ``prepare`` answers None where the pod gives
the plugin nothing to look at (upstream's Skip), so that most pods meet two or three checks.

Local plugins look at one node alone; their verdicts are kept until that node changes. Cluster
plugins weigh nodes against each other, or look at more than nodes, and run each time; what they
prepare may still find nothing to say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.scheduler.changes import NODE, Change
from server.scheduler.node_info import NodeInfo
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot

Reasons = tuple[str, ...]
Check = Callable[[NodeInfo], Reasons]
"""The reasons against the node, each as users read it behind a count; none: it will do."""
Rate = Callable[[NodeInfo], float]
"""0 (worst) to 100 (best)."""
PASS: Reasons = ()


class Unresolvable(tuple[str, ...]):
    """Reasons that stay, whatever pods go: upstream's UnschedulableAndUnresolvable."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Filter:
    name: str
    prepare: Callable[[PodInfo], Check | None]
    helped_by: Change = NODE


@dataclass(frozen=True, kw_only=True)
class Score:
    name: str
    weight: float
    prepare: Callable[[PodInfo], Rate | None]


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """What a cluster plugin made of the snapshot: any part may be absent.

    ``rates`` gets the nodes that are left to choose from. ``refused``: no node will do, and
    why, in a sentence (upstream's PreFilter).
    """

    check: Check | None = None
    rates: Callable[[Sequence[NodeInfo]], Rate | None] | None = None
    refused: str = ""


Prepared = Callable[[Snapshot], Weighing | None] | None


@dataclass(frozen=True, kw_only=True)
class ClusterPlugin:
    name: str
    prepare: Callable[[PodInfo], Prepared]
    weight: float = 0
    helped_by: Change
