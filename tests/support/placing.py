"""A snapshot with rankings over it: the scheduler's decisions without an API."""

import random
from collections.abc import Sequence

from edgek.api.meta import Obj, key_of, name
from server.scheduler.pod_info import pod_info
from server.scheduler.preemption import NoPreemption, Preemption, plan_preemption
from server.scheduler.ranking import Profile, Unschedulable
from server.scheduler.rankings import Rankings
from server.scheduler.scheduler import DEFAULT_PROFILE
from server.scheduler.snapshot import Snapshot


class Cluster:
    """``place`` decides and assumes, ``why`` expects a refusal and gives its words."""

    def __init__(self, *nodes: Obj, profile: Profile = DEFAULT_PROFILE, seed: int = 7) -> None:
        self.snapshot = Snapshot()
        self.rankings = Rankings(self.snapshot, profile, rng=random.Random(seed))
        for one in nodes:
            self.snapshot.set_node(one)

    def place(self, obj: Obj) -> str | Unschedulable:
        info = pod_info(obj)
        placed = self.rankings.place(info)
        if isinstance(placed, str):
            self.snapshot.assume(info, placed)
        return placed

    def why(self, obj: Obj) -> str:
        placed = self.place(obj)
        assert isinstance(placed, Unschedulable), placed
        return placed.message

    def put(self, obj: Obj, node_name: str) -> None:
        """The pod is there, whatever filters say."""
        self.snapshot.set_pod({**obj, "spec": {**obj["spec"], "nodeName": node_name}})

    def preempt(self, obj: Obj, *budgets: Obj) -> Preemption | NoPreemption:
        info = pod_info(obj)
        placed = self.rankings.place(info)
        assert isinstance(placed, Unschedulable), placed
        return plan_preemption(
            info, placed, self.snapshot, fitting=self.rankings.fitting, budgets=budgets
        )

    def nominate(self, obj: Obj, node_name: str) -> None:
        self.snapshot.nominate(pod_info(obj), node_name)

    def store(
        self,
        *,
        claims: Sequence[Obj] = (),
        volumes: Sequence[Obj] = (),
        classes: Sequence[Obj] = (),
        drivers: Sequence[Obj] = (),
    ) -> None:
        storage = self.snapshot.storage
        storage.claims.update({key_of(claim): claim for claim in claims})
        storage.volumes.update({name(volume): volume for volume in volumes})
        storage.classes.update({name(one): one for one in classes})
        storage.drivers.update({name(one): one for one in drivers})
