"""Preemption: which less important pods would have to go for one that fits nowhere; pure.

As plugins/defaultpreemption and framework/preemption: on each node where it could help, all less
important pods are taken out (in the snapshot's mind), and put back one by one, the more important
first, those that a PodDisruptionBudget protects before all, as long as the pod still fits. Of
the nodes, the one that is hurt least gives way. Budgets are respected where that is possible,
and not where it is not.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path, is_deleting, labels, name, namespace
from edgek.api.selectors import from_label_selector
from server.scheduler.node_info import NodeInfo
from server.scheduler.pod_info import PodInfo
from server.scheduler.ranking import Refusal, Unschedulable, counted
from server.scheduler.snapshot import Snapshot

NEVER = "not eligible due to preemptionPolicy=Never."
TERMINATING = "not eligible due to a terminating pod on the nominated node."
NO_HELP = ("Preemption is not helpful for scheduling",)
NO_VICTIMS = ("No preemption victims found for incoming pod",)
REASON = "PreemptionByScheduler"

MAX_CANDIDATES = 100
"""As minCandidateNodesAbsolute: enough to choose from."""
OFFSET = 2**31
"""Makes all priorities positive, so that two victims never weigh less than one of them."""

Fits = Callable[[NodeInfo], Refusal | None]


@dataclass(frozen=True, kw_only=True)
class Preemption:
    """``victims``: the more important first."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int = 0


@dataclass(frozen=True, kw_only=True)
class NoPreemption:
    """``message`` for users. ``forget``: the pod's old nomination is of no use any more."""

    message: str
    forget: bool = True


def plan_preemption(
    pod: PodInfo,
    why: Unschedulable,
    snapshot: Snapshot,
    *,
    fitting: Callable[[PodInfo], Fits],
    budgets: Sequence[Obj],
) -> Preemption | NoPreemption:
    """``fitting`` gives what tells of a node of ``snapshot`` whether the pod could be there at
    that moment."""
    if ineligible := _ineligible(pod, why, snapshot):
        return NoPreemption(message=f"preemption: {ineligible}", forget=False)
    found: list[Preemption] = []
    reasons: dict[str, Iterable[str]] = {}
    if min(snapshot.priorities, default=pod.priority) >= pod.priority:  # nobody to look at
        reasons = dict.fromkeys(why.curable, NO_VICTIMS)
        return NoPreemption(message=f"preemption: {_no_help(reasons, len(snapshot))}")
    fits = fitting(pod)
    with snapshot.with_pods(snapshot.ghosts(pod)):
        for node_name in sorted(why.curable):
            info = snapshot.node(node_name)
            if info is None:
                continue
            outcome = _on_node(pod, info, snapshot, fits=fits, budgets=budgets)
            if isinstance(outcome, Preemption):
                found.append(outcome)
            else:
                reasons[node_name] = outcome
            if len(found) >= MAX_CANDIDATES:
                break
    if found:
        return min(found, key=_harm)
    return NoPreemption(message=f"preemption: {_no_help(reasons, len(snapshot))}")


def _no_help(reasons: dict[str, Iterable[str]], nodes: int) -> str:
    return counted([*reasons.values(), *[NO_HELP] * (nodes - len(reasons))], nodes=nodes)


def _ineligible(pod: PodInfo, why: Unschedulable, snapshot: Snapshot) -> str:
    """As PodEligibleToPreemptOthers; "" where it is."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return NEVER
    nominated = get_path(pod.pod, "status", "nominatedNodeName", default="")
    if pod.uid in snapshot.nominated:
        nominated = snapshot.nominated[pod.uid][1]
    info = snapshot.node(nominated) if nominated else None
    if info is not None and nominated in why.curable:
        leaving = (p for p in info.pods.values() if p.priority < pod.priority)
        if any(_gives_way(p.pod) for p in leaving):
            return TERMINATING
    return ""


def _gives_way(pod: Obj) -> bool:
    condition = find_condition(get_path(pod, "status", "conditions"), "DisruptionTarget") or {}
    return is_deleting(pod) and condition.get("status") == "True" and condition["reason"] == REASON


def importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the more important first: a higher priority, then a longer life."""
    return -pod.priority, _started(pod)


def _started(pod: PodInfo) -> str:
    return str(get_path(pod.pod, "status", "startTime", default="~"))


def _on_node(
    pod: PodInfo, info: NodeInfo, snapshot: Snapshot, *, fits: Fits, budgets: Sequence[Obj]
) -> Preemption | tuple[str, ...]:
    """The fewest victims on this node, or the reasons why even all of them are not enough."""
    lesser = [p for p in info.pods.values() if p.priority < pod.priority and snapshot.has(p.uid)]
    if not lesser:
        return NO_VICTIMS
    lesser.sort(key=importance)
    protected = _protected(lesser, budgets)
    victims: list[PodInfo] = []
    with snapshot.without(lesser) as turn:
        if (refusal := fits(info)) is not None:
            return refusal.reasons
        for one in sorted(lesser, key=lambda p: p.uid not in protected):
            turn(one)
            if fits(info) is not None:
                turn(one)
                victims.append(one)
    if not victims:
        return NO_VICTIMS
    victims.sort(key=importance)
    violations = sum(p.uid in protected for p in victims)
    return Preemption(node=info.name, victims=tuple(victims), violations=violations)


def _protected(pods: Sequence[PodInfo], budgets: Sequence[Obj]) -> frozenset[str]:
    """Those whose going would break a budget, the less important last; as
    filterPodsWithPDBViolation."""
    left = {id(b): int(get_path(b, "status", "disruptionsAllowed", default=0)) for b in budgets}
    out = set()
    for pod in pods:
        for budget in budgets:
            if _covers(budget, pod):
                left[id(budget)] -= 1
                if left[id(budget)] < 0:
                    out.add(pod.uid)
    return frozenset(out)


def _covers(budget: Obj, pod: PodInfo) -> bool:
    """NB: an empty selector covers nothing here, and a pod that is evicted already counts in
    its budget's status."""
    has, selector = labels(pod.pod), get_path(budget, "spec", "selector")
    if not has or not selector or namespace(budget) != pod.namespace:
        return False
    if name(pod.pod) in get_path(budget, "status", "disruptedPods", default={}):
        return False
    return from_label_selector(selector).matches(has)


def _harm(plan: Preemption) -> tuple[int, int, int, int, "_Later", str]:
    """As pickOneNodeForPreemption: what counts for most first."""
    victims = plan.victims
    top = victims[0].priority
    started = min(_started(p) for p in victims if p.priority == top)
    total = sum(p.priority + OFFSET for p in victims)
    return plan.violations, top, total, len(victims), _Later(started), plan.node


class _Later(str):
    """A time of which the latest sorts first."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str(self) > str(other)
