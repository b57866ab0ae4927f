"""What a StatefulSet does next: pods to make, mend and delete, and its status.

Pure. Scaling goes before updating; OrderedReady takes one step and waits for all before it,
Parallel takes all there are. As pkg/controller/statefulset/stateful_set_control.go, with
MaxUnavailableStatefulSet on. As there, a rollout of a template that never becomes ready stops
under OrderedReady, and goes on after an undo only once somebody deletes the broken pod.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edgek.api.meta import Obj, generation, get_path, is_deleting, labels, name, uid
from edgek.kinds.pods import is_available, is_ready, is_terminal, phase, scaled_value
from server.controllers.controller_revision import HASH
from server.controllers.pod_control import replicas_of
from server.controllers.statefulset_claims import Claims, ClaimWork, is_stale, plan_claims_of
from server.controllers.statefulset_identity import (
    has_identity,
    has_storage,
    identity_labels,
    is_old,
    is_parallel,
    is_rolling,
    new_pod,
    ordinal_of,
    ordinals,
    partition_of,
    with_storage,
)


@dataclass(frozen=True, kw_only=True)
class Stateful:
    """All there is to decide by. ``pods`` are the set's own; ``update`` is the revision of the
    present template, ``current`` the one that was rolled out last."""

    stateful_set: Obj
    pods: Sequence[Obj]
    claims: Claims
    current: Obj
    update: Obj
    now: datetime

    @property
    def min_ready(self) -> int:
        return int(get_path(self.stateful_set, "spec", "minReadySeconds", default=0))

    def available(self, pod: Obj) -> bool:
        return running(pod) and is_available(pod, self.min_ready, self.now)

    def unavailable(self, pod: Obj) -> bool:
        return not self.available(pod) or is_deleting(pod)

    def outdated(self, pod: Obj) -> bool:
        return revision_name(pod) != name(self.update) and not is_deleting(pod)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one pod needs: its claims first, then itself. ``mended`` is the pod as it should be."""

    pod: Obj
    claims: ClaimWork
    create: bool = False
    mended: Obj | None = None

    @property
    def empty(self) -> bool:
        claims = self.claims.make or self.claims.own or self.claims.going
        return not (self.create or self.mended or claims)


@dataclass(frozen=True, kw_only=True)
class StatefulPlan:
    """In this order. ``ended`` are pods to be replaced because they are over; ``condemned`` are
    scaled away and may go only when ``surplus`` claims have their owners; ``outdated`` are
    replaced by pods of the newest template."""

    ended: list[Obj] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    surplus: list[Step] = field(default_factory=list)
    condemned: list[Obj] = field(default_factory=list)
    outdated: list[Obj] = field(default_factory=list)


def created(pod: Obj) -> bool:
    """Known to the server, and not only thought of by the plan."""
    return uid(pod) != ""


def pending(pod: Obj) -> bool:
    return phase(pod) in ("", "Pending")


def running(pod: Obj) -> bool:
    return phase(pod) == "Running" and is_ready(pod)


def revision_name(pod: Obj) -> str:
    return labels(pod).get(HASH, "")


def plan_stateful(s: Stateful) -> StatefulPlan:
    plan = StatefulPlan()
    if is_deleting(s.stateful_set):
        return plan
    ordered = not is_parallel(s.stateful_set)
    replicas = _replicas(s)
    for pod in replicas:
        if _plan_replica(s, plan, pod, ordered=ordered):
            return plan
    condemned = _condemned(s)
    for pod in condemned:
        work = plan_claims_of(s.stateful_set, pod, s.claims)
        if work.own:
            plan.surplus.append(Step(pod=pod, claims=work))
    plan.condemned.extend(_may_go(s, replicas, condemned, ordered=ordered))
    if (condemned and ordered) or not is_rolling(s.stateful_set):
        return plan
    plan.outdated.extend(_plan_update(s, replicas, ordered=ordered))
    return plan


def _replicas(s: Stateful) -> list[Obj]:
    """A pod for each ordinal, made up where there is none."""
    found = {ordinal_of(pod): pod for pod in s.pods}
    return [found.get(o) or _imagined(s, o) for o in ordinals(s.stateful_set)]


def _imagined(s: Stateful, ordinal: int) -> Obj:
    revision = s.current if is_old(s.stateful_set, ordinal) else s.update
    return new_pod(s.stateful_set, revision, ordinal)


def _condemned(s: Stateful) -> list[Obj]:
    """Pods beyond the ordinals there should be, the highest first."""
    wanted = ordinals(s.stateful_set)
    beyond = [p for p in s.pods if ordinal_of(p) >= 0 and ordinal_of(p) not in wanted]
    return sorted(beyond, key=ordinal_of, reverse=True)


def _plan_replica(s: Stateful, plan: StatefulPlan, pod: Obj, *, ordered: bool) -> bool:
    """Whether nothing after this pod may be done now (As processReplica)."""
    if is_terminal(pod):
        if not is_deleting(pod):
            plan.ended.append(pod)
        return ordered
    if not created(pod):
        if not is_stale(s.stateful_set, pod, s.claims):
            work = plan_claims_of(s.stateful_set, pod, s.claims, missing=True)
            plan.steps.append(Step(pod=pod, claims=work, create=True))
        return ordered
    blocked = ordered and s.unavailable(pod)
    step = _mend(s, pod, blocked=blocked)
    if not step.empty:
        plan.steps.append(step)
    return blocked


def _mend(s: Stateful, pod: Obj, *, blocked: bool) -> Step:
    """A pending pod may wait for claims that are gone. Whatever else is wrong with a pod is put
    right when its turn has come."""
    if blocked and not pending(pod):
        return Step(pod=pod, claims=ClaimWork())
    work = plan_claims_of(s.stateful_set, pod, s.claims, missing=pending(pod))
    return Step(pod=pod, claims=work, mended=None if blocked else _mended(s, pod))


def _mended(s: Stateful, pod: Obj) -> Obj | None:
    if has_identity(s.stateful_set, pod) and has_storage(s.stateful_set, pod):
        return None
    ordinal = ordinal_of(pod)
    own = {**labels(pod), **identity_labels(s.stateful_set, ordinal)}
    mended = {**pod, "metadata": {**pod["metadata"], "labels": own}}
    if has_storage(s.stateful_set, pod):
        return mended
    return with_storage(s.stateful_set, mended, ordinal)


def _may_go(
    s: Stateful, replicas: Sequence[Obj], condemned: Sequence[Obj], *, ordered: bool
) -> list[Obj]:
    """One at a time and only while all others are well, where order matters; but the first one
    that is not well may itself go (As processCondemned)."""
    if not ordered:
        return [pod for pod in condemned if not is_deleting(pod)]
    if not condemned or is_deleting(condemned[0]):
        return []
    upwards = (*replicas, *reversed(condemned))
    first_bad = next((pod for pod in upwards if s.unavailable(pod)), None)
    target = condemned[0]
    return [target] if s.available(target) or target is first_bad else []


# Replacing pods of old templates


def max_unavailable(stateful_set: Obj) -> int:
    """Rounded down, but never none."""
    rolling = get_path(stateful_set, "spec", "updateStrategy", "rollingUpdate", default={})
    value = rolling.get("maxUnavailable", 1)
    return max(1, scaled_value(value, replicas_of(stateful_set), round_up=False))


def _plan_update(s: Stateful, replicas: Sequence[Obj], *, ordered: bool) -> list[Obj]:
    """The highest ordinals first, above the partition, and within maxUnavailable. Without order,
    old pods that are not available anyway go first and cost nothing: what is broken in an old
    template must not keep a mended one from going out."""
    room = max_unavailable(s.stateful_set) - sum(map(s.unavailable, replicas))
    above = reversed(replicas[partition_of(s.stateful_set) :])
    old = [pod for pod in above if s.outdated(pod) and not is_terminal(pod)]
    if ordered:
        return old[: max(0, room)]
    broken = [pod for pod in old if created(pod) and not s.available(pod)]
    return broken + [pod for pod in old if s.available(pod)][: max(0, room)]


# Status


def stateful_status(s: Stateful, plan: StatefulPlan) -> Obj:
    """The numbers as they are seen, less the pods that the plan replaces."""
    pods = [pod for pod in s.pods if created(pod)]
    alive = [pod for pod in pods if not is_deleting(pod)]
    old, new = name(s.current), name(s.update)
    ready = [pod for pod in pods if running(pod)]
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": sum(revision_name(pod) == old for pod in alive),
        "updatedReplicas": sum(revision_name(pod) == new for pod in alive),
    }
    counts["currentReplicas"] = max(0, counts["currentReplicas"] - len(plan.outdated))
    wanted = replicas_of(s.stateful_set)
    complete = counts["updatedReplicas"] == counts["readyReplicas"] == len(pods) == wanted
    if complete and is_rolling(s.stateful_set):
        counts["currentReplicas"], old = counts["updatedReplicas"], new
    status = s.stateful_set.get("status") or {}
    kept = {"conditions": status["conditions"]} if status.get("conditions") else {}
    return {
        "observedGeneration": generation(s.stateful_set),
        "replicas": len(pods),
        **{field: count for field, count in counts.items() if count},
        "availableReplicas": sum(map(s.available, ready)),
        "currentRevision": old,
        "updateRevision": new,
        "collisionCount": status.get("collisionCount", 0),
        **kept,
    }
