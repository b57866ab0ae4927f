"""What a DaemonSet does next: pods to make and to delete, and its status.

Pure. ``plan_manage`` keeps one pod on each fitting node; ``plan_rolling_update`` replaces pods of
old templates within maxUnavailable, or ahead of their end within maxSurge. As
pkg/controller/daemon/daemon_controller.go and update.go; nodes are taken in the order of their
names, where upstream takes them in none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edgek.api.meta import Obj, generation, get_path, is_deleting, name, namespace
from edgek.kinds.pods import is_available, is_ready, is_terminal, node_name, phase, scaled_value
from server.controllers.daemonset_nodes import Fit, is_updated, node_fit, target_node


@dataclass(frozen=True, kw_only=True)
class Daemons:
    """All there is to decide by. ``pods`` are the DaemonSet's own by target node; ``back_off``
    says for a node how many seconds a failed pod is to be left alone yet."""

    daemon_set: Obj
    nodes: Sequence[Obj]
    pods: Mapping[str, Sequence[Obj]]
    revision_hash: str
    now: datetime
    back_off: Callable[[str], float] = field(default=lambda node: 0.0)

    @property
    def min_ready(self) -> int:
        return int(get_path(self.daemon_set, "spec", "minReadySeconds", default=0))

    def available(self, pod: Obj) -> bool:
        return is_available(pod, self.min_ready, self.now)

    def updated(self, pod: Obj) -> bool:
        return is_updated(pod, self.daemon_set, self.revision_hash)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An event that goes with a plan."""

    warning: bool
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class DaemonPlan:
    """``create`` names nodes. ``failed`` names nodes whose failed pod is deleted (their back-off
    grows); ``look_again`` is when a failed pod may go."""

    create: list[str] = field(default_factory=list)
    delete: list[Obj] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    look_again: list[float] = field(default_factory=list)


def pods_by_node(pods: Iterable[Obj]) -> dict[str, list[Obj]]:
    """By target node, in the order of names; pods that are over and being deleted are left out."""
    out: dict[str, list[Obj]] = {}
    for pod in pods:
        if is_deleting(pod) and is_terminal(pod):
            continue
        out.setdefault(target_node(pod), []).append(pod)
    return dict(sorted(out.items()))


def oldest_first(pods: Iterable[Obj]) -> list[Obj]:
    """As podByCreationTimestampAndPhase: those on a node first, then by age."""
    return sorted(
        pods,
        key=lambda p: (not node_name(p), p["metadata"].get("creationTimestamp") or "", name(p)),
    )


def limits(daemons: Daemons) -> tuple[int, int]:
    """maxSurge and maxUnavailable as numbers of the nodes that should run a pod, rounded up."""
    fit = node_fit(daemons.daemon_set)
    desired = sum(fit(node).run for node in daemons.nodes)
    rolling = get_path(daemons.daemon_set, "spec", "updateStrategy", "rollingUpdate", default={})
    surge = scaled_value(rolling.get("maxSurge", 0), desired, round_up=True)
    away = scaled_value(rolling.get("maxUnavailable", 1), desired, round_up=True)
    return surge, away if surge or away else 1


def is_rolling(daemon_set: Obj) -> bool:
    kind = get_path(daemon_set, "spec", "updateStrategy", "type", default="RollingUpdate")
    return bool(kind == "RollingUpdate")


# One pod per node


def plan_manage(daemons: Daemons) -> DaemonPlan:
    plan = DaemonPlan()
    fit = node_fit(daemons.daemon_set)
    surging = is_rolling(daemons.daemon_set) and limits(daemons)[0] > 0
    for node in sorted(daemons.nodes, key=name):
        _plan_node(daemons, plan, name(node), fit(node), surging=surging)
    known = {name(node) for node in daemons.nodes}
    for node_name_, pods in daemons.pods.items():
        if node_name_ not in known:  # made for a node that went before they were bound
            plan.delete.extend(p for p in pods if not node_name(p) and not is_deleting(p))
    return plan


def _plan_node(daemons: Daemons, plan: DaemonPlan, node: str, fit: Fit, *, surging: bool) -> None:
    pods = daemons.pods.get(node, ())
    if not fit.stay:
        plan.delete.extend(p for p in pods if not is_deleting(p))
    elif fit.run and not pods:
        plan.create.append(node)
    else:
        running = [p for p in pods if not is_deleting(p) and not _over(daemons, plan, node, p)]
        plan.delete.extend(_surplus_surging(daemons, running) if surging else _surplus(running))


def _over(daemons: Daemons, plan: DaemonPlan, node: str, pod: Obj) -> bool:
    """Daemons are never over: what ended is deleted, so that it is made anew."""
    where = f"daemon pod {namespace(pod)}/{name(pod)} on node {node}"
    if phase(pod) == "Succeeded":
        message = f"Found succeeded {where}, will try to delete it"
        plan.notices.append(Notice(warning=False, reason="SucceededDaemonPod", message=message))
        plan.delete.append(pod)
    elif phase(pod) == "Failed":
        if wait := daemons.back_off(node):
            plan.look_again.append(wait)
            return True
        message = f"Found failed {where}, will try to kill it"
        plan.notices.append(Notice(warning=True, reason="FailedDaemonPod", message=message))
        plan.delete.append(pod)
        plan.failed.append(node)
    return is_terminal(pod)


def _surplus(running: list[Obj]) -> list[Obj]:
    return oldest_first(running)[1:]


def _surplus_surging(daemons: Daemons, running: list[Obj]) -> list[Obj]:
    """While surging, an old pod may stand beside a new one until that is available."""
    new = oldest_first(p for p in running if daemons.updated(p))
    old = oldest_first(p for p in running if not daemons.updated(p))
    surplus = new[1:] + old[1:]
    if new and old and (not is_ready(old[0]) or daemons.available(new[0])):
        surplus.append(old[0])
    return surplus


# Replacing old pods


def plan_rolling_update(daemons: Daemons) -> DaemonPlan:
    surge, away = limits(daemons)
    return _plan_surge(daemons, surge) if surge else _plan_replace(daemons, away)


def _new_and_old(daemons: Daemons, pods: Sequence[Obj]) -> tuple[Obj | None, Obj | None] | None:
    """The node's pod of the present and of an old template; None where there are several."""
    alive = [p for p in pods if not is_deleting(p)]
    new = [p for p in alive if daemons.updated(p)]
    old = [p for p in alive if not daemons.updated(p)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _plan_replace(daemons: Daemons, away: int) -> DaemonPlan:
    """Old pods that are not available anyway, and as many others as may be."""
    unavailable = 0
    broken: list[Obj] = []
    candidates: list[Obj] = []
    for pods in daemons.pods.values():
        new, old = _new_and_old(daemons, pods) or (None, None)
        if (new is None) == (old is None):  # plan_manage has something to do here first
            unavailable += 1
        elif new is not None:
            unavailable += not daemons.available(new)
        elif old is not None and not daemons.available(old):
            unavailable += 1
            broken.append(old)
        elif old is not None:
            candidates.append(old)
    return DaemonPlan(delete=broken + candidates[: max(0, away - unavailable)])


def _plan_surge(daemons: Daemons, surge: int) -> DaemonPlan:
    """New pods beside old ones; an old one goes when its successor is available."""
    surging = 0
    done: list[Obj] = []
    broken: list[str] = []
    candidates: list[str] = []
    for node, pods in daemons.pods.items():
        found = _new_and_old(daemons, pods)
        new, old = found or (None, None)
        if found is None:
            surging += 1
        elif old is None:
            continue
        elif new is None:
            (candidates if daemons.available(old) else broken).append(node)
        elif daemons.available(new):
            done.append(old)
        else:
            surging += 1
    room = max(0, surge - surging)
    known = {name(node) for node in daemons.nodes}
    create = [node for node in broken + candidates[:room] if node in known]
    return DaemonPlan(create=create, delete=done)


# Status


def daemon_set_status(daemons: Daemons, *, synced: bool) -> Obj:
    """The numbers by node; ``synced`` says that the present generation has been acted upon."""
    fit = node_fit(daemons.daemon_set)
    found = dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    )
    more = dict.fromkeys(("updatedNumberScheduled", "numberAvailable"), 0)
    for node in daemons.nodes:
        pods = oldest_first(daemons.pods.get(name(node), ()))
        if not fit(node).run:
            found["numberMisscheduled"] += bool(pods)
            continue
        found["desiredNumberScheduled"] += 1
        if pods:
            found["currentNumberScheduled"] += 1
            found["numberReady"] += is_ready(pods[0])
            more["numberAvailable"] += daemons.available(pods[0])
            more["updatedNumberScheduled"] += daemons.updated(pods[0])
    more["numberUnavailable"] = found["desiredNumberScheduled"] - more["numberAvailable"]
    old = daemons.daemon_set.get("status") or {}
    more["observedGeneration"] = (
        generation(daemons.daemon_set) if synced else old.get("observedGeneration", 0)
    )
    # These are left out on the wire where they are zero; the first four never are.
    kept = {k: v for k, v in old.items() if k in ("collisionCount", "conditions")}
    return {**found, **{k: v for k, v in more.items() if v}, **kept}
