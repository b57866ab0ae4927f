"""Rankings: those of the shapes last seen; and nodes that are kept for others.

A node that was emptied for a more important pod is *nominated* for it until it is there. Others
look at such nodes as if that pod were placed already, and as if it were not, and must fit both
ways; as RunFilterPluginsWithNominatedPods. (Upstream adds only the pods of the node in question;
here all of them are there at once.)
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Hashable

from server.scheduler.node_info import NodeInfo
from server.scheduler.pod_info import PodInfo, shape_of
from server.scheduler.ranking import MAX_SHAPES, Profile, Ranking, Refusal, Unschedulable
from server.scheduler.snapshot import Snapshot


class Rankings:
    """The rankings of the shapes last seen, no more than MAX_SHAPES."""

    def __init__(
        self, snapshot: Snapshot, profile: Profile, *, rng: random.Random | None = None
    ) -> None:
        self._snapshot = snapshot
        self._profile = profile
        self._rng = rng or random.Random()
        self._kept: OrderedDict[Hashable, Ranking] = OrderedDict()

    def place(self, pod: PodInfo) -> str | Unschedulable:
        """The name of the node for the pod, or why there is none."""
        snapshot = self._snapshot
        if not snapshot.nominated:
            return self._ranking(pod).best()
        ghosts = snapshot.ghosts(pod)
        own = self._nominee(pod)
        if not ghosts:
            ranking = self._ranking(pod)
            return own.name if own and ranking.check(own) is None else ranking.best()
        barred = self._barred(pod, [node_name for _, node_name in ghosts])
        with snapshot.with_pods(ghosts):
            crowded = Ranking(pod, snapshot, self._profile, self._rng, barred=barred)
            if own and own.name not in barred and crowded.check(own) is None:
                return own.name
            return crowded.best()

    def fitting(self, pod: PodInfo) -> Callable[[NodeInfo], Refusal | None]:
        """Whether the pod fits a node of the snapshot as it is whenever that is asked."""
        return Ranking(pod, self._snapshot, self._profile, self._rng).check

    def clear(self) -> None:
        """A node is gone, or labels of namespaces changed: verdicts are cheap to make anew."""
        self._kept.clear()

    def _ranking(self, pod: PodInfo) -> Ranking:
        shape = shape_of(pod, by_labels=bool(self._snapshot.affinity))
        ranking = self._kept.get(shape)
        if ranking is None:
            ranking = Ranking(pod, self._snapshot, self._profile, self._rng)
            if ranking.names_nodes:  # a DaemonSet's pod: no other has this shape
                return ranking
            self._kept[shape] = ranking
            if len(self._kept) > MAX_SHAPES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(shape)
        return ranking

    def _nominee(self, pod: PodInfo) -> NodeInfo | None:
        """The node that others left for this pod: it comes before all that score better."""
        nominated = self._snapshot.nominated.get(pod.uid)
        return self._snapshot.node(nominated[1]) if nominated else None

    def _barred(self, pod: PodInfo, names: list[str]) -> dict[str, Refusal]:
        """The nodes that would do only if the pods they are kept for were there."""
        check, out = self.fitting(pod), {}
        for node_name in names:
            info = self._snapshot.node(node_name)
            if info is not None and (refusal := check(info)) is not None:
                out[node_name] = refusal
        return out
