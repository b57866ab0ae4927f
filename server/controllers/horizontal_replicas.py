"""How many pods a measured load asks for: the arithmetic of autoscaling.

Pure. A load over its target asks for more pods in proportion, within a tolerance for the same.
Pods that are not ready yet are taken to do nothing where more are asked for; pods that nothing is
known of are taken to be at their target where fewer are. As
pkg/controller/podautoscaler/replica_calculator.go; amounts are whole thousandths.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path, is_deleting, name
from edgek.api.quantity import milli
from edgek.api.time import parse_time
from edgek.kinds.pods import containers, init_containers, is_ready, is_sidecar, phase

CPU_INITIALIZATION = timedelta(minutes=5)
INITIAL_READINESS = timedelta(seconds=30)
NO_PODS = "no pods returned by selector while calculating replica count"
NO_METRICS = "did not receive metrics for targeted pods (pods might be unready)"


class MetricsError(Exception):
    """A metric can not be had, or says nothing; in upstream's words."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one pod used; measured over ``window`` until ``at``."""

    value: int
    at: datetime
    window: timedelta = timedelta(minutes=1)


Samples = Mapping[str, Sample]
Values = dict[str, int]


@dataclass(frozen=True)
class Tolerance:
    """How far below and above one a ratio may be without consequence."""

    down: float = 0.1
    up: float = 0.1

    def allows(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A proposal: how many pods, and what was measured, in thousandths of each pod's average
    (``average``), of all (``value``) and in percent of requests (``utilization``)."""

    replicas: int
    average: int | None = None
    value: int | None = None
    utilization: int | None = None


# Which pods count


@dataclass(frozen=True, kw_only=True)
class Groups:
    """``ready`` is a number: all pods that are in none of the others."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group_pods(pods: Sequence[Obj], samples: Samples, resource: str, now: datetime) -> Groups:
    """As groupPods; readiness counts for cpu alone, which starting pods use most of."""
    sorted_: dict[str, set[str]] = {"ready": set(), "unready": set(), "missing": set()}
    ignored = set()
    for pod in pods:
        if is_deleting(pod) or phase(pod) == "Failed":
            ignored.add(name(pod))
        else:
            sorted_[_standing(pod, samples.get(name(pod)), resource, now)].add(name(pod))
    return Groups(
        ready=len(sorted_["ready"]),
        unready=frozenset(sorted_["unready"]),
        missing=frozenset(sorted_["missing"]),
        ignored=frozenset(ignored),
    )


def _standing(pod: Obj, sample: Sample | None, resource: str, now: datetime) -> str:
    if phase(pod) == "Pending":
        return "unready"
    if sample is None:
        return "missing"
    return "unready" if resource == "cpu" and _is_starting(pod, sample, now) else "ready"


def _is_starting(pod: Obj, sample: Sample, now: datetime) -> bool:
    ready = find_condition(get_path(pod, "status", "conditions"), "Ready")
    started = get_path(pod, "status", "startTime")
    if ready is None or not started:
        return True
    since = parse_time(ready.get("lastTransitionTime") or started)
    is_false = ready.get("status") == "False"
    if parse_time(started) + CPU_INITIALIZATION > now:
        return is_false or sample.at < since + sample.window
    return is_false and parse_time(started) + INITIAL_READINESS > since


def pod_requests(pods: Iterable[Obj], resource: str, container: str = "") -> Values:
    """What the pods ask for of a resource, or one container of each. Raises MetricsError."""
    return {name(pod): _requested(pod, resource, container) for pod in pods}


def _requested(pod: Obj, resource: str, container: str) -> int:
    whole = get_path(pod, "spec", "resources", "requests", resource)
    if whole is not None and not container:
        return milli(whole)
    sidecars = [c for c in init_containers(pod) if is_sidecar(c)]
    total = 0
    for each in (*containers(pod), *sidecars):
        if container and each.get("name") != container:
            continue
        asked = get_path(each, "resources", "requests", resource)
        if asked is None:
            where = f"container {each.get('name')} of Pod {name(pod)}"
            raise MetricsError(f"missing request for {resource} in {where}")
        total += milli(asked)
    return total


# Per pod


def by_utilization(
    current: int, pods: Sequence[Obj], samples: Samples, target: int, *,
    resource: str, container: str = "", tolerance: Tolerance, now: datetime,
) -> Scaled:  # fmt: skip
    """``target`` is percent of what the pods request. Raises MetricsError."""
    groups, values = _known(pods, samples, resource, now)
    requests = pod_requests(pods, resource, container)

    def measure(found: Values) -> tuple[float, int, int]:
        known = [pod for pod in found if pod in requests]
        used, asked = sum(found[p] for p in known), sum(requests[p] for p in known)
        if not asked:
            raise MetricsError("no metrics returned matched known pods")
        percent = used * 100 // asked
        return percent / target, percent, used // len(known)

    _, percent, average = measure(values)
    fallback = max(100, target)
    replicas = _replicas(
        _Load(current=current, groups=groups, values=values, tolerance=tolerance),
        ratio_of=lambda found: measure(found)[0],
        at_target=lambda pod: requests[pod] * fallback // 100,
    )
    return Scaled(replicas=replicas, average=average, utilization=percent)


def by_average(
    current: int, pods: Sequence[Obj], samples: Samples, target: int, *,
    resource: str = "", tolerance: Tolerance, now: datetime,
) -> Scaled:  # fmt: skip
    """``target`` is an amount for each pod. Raises MetricsError."""
    groups, values = _known(pods, samples, resource, now)

    def average(found: Values) -> int:
        return sum(found.values()) // len(found)

    replicas = _replicas(
        _Load(current=current, groups=groups, values=values, tolerance=tolerance),
        ratio_of=lambda found: average(found) / target,
        at_target=lambda pod: target,
        fills_at_par=True,
    )
    return Scaled(replicas=replicas, average=average(values))


def _known(
    pods: Sequence[Obj], samples: Samples, resource: str, now: datetime
) -> tuple[Groups, Values]:
    if not pods:
        raise MetricsError(NO_PODS)
    groups = group_pods(pods, samples, resource, now)
    left_out = groups.ignored | groups.unready
    values = {pod: s.value for pod, s in samples.items() if pod not in left_out}
    if not values:
        raise MetricsError(NO_METRICS)
    return groups, values


@dataclass(frozen=True, kw_only=True)
class _Load:
    current: int
    groups: Groups
    values: Values
    tolerance: Tolerance


def _replicas(
    load: _Load, *,
    ratio_of: Callable[[Values], float],
    at_target: Callable[[str], int],
    fills_at_par: bool = False,
) -> int:  # fmt: skip
    ratio, groups = ratio_of(load.values), load.groups
    rebalance = bool(groups.unready) and ratio > 1.0
    if not rebalance and not groups.missing:
        return load.current if load.tolerance.allows(ratio) else math.ceil(ratio * groups.ready)
    filled = dict(load.values)
    if ratio < 1.0:
        filled |= {pod: at_target(pod) for pod in groups.missing}
    elif ratio > 1.0 or fills_at_par:
        filled |= dict.fromkeys(groups.missing, 0)
    if rebalance:
        filled |= dict.fromkeys(groups.unready, 0)
    return _unless_it_turns(load, ratio, ratio_of(filled), len(filled))


def _unless_it_turns(load: _Load, before: float, ratio: float, count: int) -> int:
    """What was filled in may make a change smaller, but never one the other way."""
    turned = (before < 1.0 < ratio) or (ratio < 1.0 < before)
    if load.tolerance.allows(ratio) or turned:
        return load.current
    wanted = math.ceil(ratio * count)
    if (ratio < 1.0 and wanted > load.current) or (ratio > 1.0 and wanted < load.current):
        return load.current
    return wanted


# Of one number for all


def by_value(
    current: int, pods: Sequence[Obj], usage: int, target: int, *, tolerance: Tolerance
) -> Scaled:
    """One value that all pods share the work of. Raises MetricsError."""
    ratio = usage / target
    if current and tolerance.allows(ratio):
        return Scaled(replicas=current, value=usage)
    if not current:
        return Scaled(replicas=math.ceil(ratio), value=usage)
    if not pods:
        raise MetricsError(f"unable to calculate ready pods: {NO_PODS}")
    ready = sum(phase(pod) == "Running" and is_ready(pod) for pod in pods)
    return Scaled(replicas=math.ceil(ratio * ready), value=usage)


def by_value_per_pod(present: int, usage: int, target: int, *, tolerance: Tolerance) -> Scaled:
    """One value that is divided by the number of pods; ``present`` is how many there are."""
    replicas = present
    if not present or not tolerance.allows(usage / (target * present)):
        replicas = math.ceil(usage / target)
    return Scaled(replicas=replicas, average=math.ceil(usage / max(1, present)))
