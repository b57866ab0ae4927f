"""What each metric of an autoscaler proposes: asked for, then reckoned with.

One function for each type of metric, in ``_BY_TYPE``; the arithmetic is in
horizontal_replicas.py, the asking in horizontal_metrics.py. As
pkg/controller/podautoscaler/horizontal.go computeReplicasForMetric.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from edgek.api.meta import Obj
from edgek.api.quantity import format_quantity, milli
from edgek.kinds.columns import NONE, format_label_selector
from server.controllers.horizontal_metrics import Metrics, Wanted
from server.controllers.horizontal_replicas import (
    MetricsError,
    Samples,
    Scaled,
    Tolerance,
    by_average,
    by_utilization,
    by_value,
    by_value_per_pod,
)
from server.controllers.selector_text import go_selector


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is scaled: ``current`` pods asked for, ``present`` there, and which they are.
    ``selector`` picks them, as text."""

    namespace: str
    current: int
    present: int
    selector: str
    pods: Sequence[Obj]
    tolerance: Tolerance
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """``name`` says in events what asked for it; ``status`` goes to status.currentMetrics."""

    replicas: int
    name: str
    status: Obj


class Unproposed(Exception):
    """Nothing can be proposed: the condition's ``reason``, what ``why`` says of it there, and
    what the error as a whole says."""

    def __init__(self, reason: str, why: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.why = why


def _amount(thousandths: int) -> str:
    return format_quantity(Fraction(thousandths, 1000))


# Of resources


async def _resource(metrics: Metrics, target: Target, source: Obj, container: str) -> Proposal:
    """Whichever target is set. Raises MetricsError."""
    resource, goal = source["name"], source["target"]
    if goal.get("averageValue") is not None:
        scaled = await _by_use(metrics, target, source, container)
        return Proposal(
            replicas=scaled.replicas,
            name=f"{resource} resource",
            status={"averageValue": _amount(scaled.average or 0)},
        )
    if goal.get("averageUtilization") is None:
        raise MetricsError(
            "invalid resource metric source: neither an average utilization target nor an "
            "average value (usage) target was set"
        )
    scaled = await _by_percent(metrics, target, source, container)
    what = "container resource" if container else "resource"
    return Proposal(
        replicas=scaled.replicas,
        name=f"{resource} {what} utilization (percentage of request)",
        status={
            "averageUtilization": scaled.utilization,
            "averageValue": _amount(scaled.average or 0),
        },
    )


async def _by_use(metrics: Metrics, target: Target, source: Obj, container: str) -> Scaled:
    resource = source["name"]
    try:
        samples = await _samples(metrics, target, resource, container)
        return by_average(
            target.current, target.pods, samples, milli(source["target"]["averageValue"]),
            resource=resource, tolerance=target.tolerance, now=target.now,
        )  # fmt: skip
    except MetricsError as err:
        raise MetricsError(f"failed to get {resource} usage: {err}") from err


async def _by_percent(metrics: Metrics, target: Target, source: Obj, container: str) -> Scaled:
    resource = source["name"]
    try:
        samples = await _samples(metrics, target, resource, container)
        return by_utilization(
            target.current, target.pods, samples, int(source["target"]["averageUtilization"]),
            resource=resource, container=container, tolerance=target.tolerance, now=target.now,
        )  # fmt: skip
    except MetricsError as err:
        raise MetricsError(f"failed to get {resource} utilization: {err}") from err


async def _samples(metrics: Metrics, target: Target, resource: str, container: str) -> Samples:
    try:
        return await metrics.of_resource(resource, target.namespace, target.selector, container)
    except MetricsError as err:
        raise MetricsError(f"unable to get metrics for resource {resource}: {err}") from err


async def _of_resource(metrics: Metrics, target: Target, source: Obj) -> Proposal:
    found = await _resource(metrics, target, source, "")
    status = {"name": source["name"], "current": found.status}
    return Proposal(replicas=found.replicas, name=found.name, status=status)


async def _of_container(metrics: Metrics, target: Target, source: Obj) -> Proposal:
    found = await _resource(metrics, target, source, source["container"])
    status = {"name": source["name"], "container": source["container"], "current": found.status}
    return Proposal(replicas=found.replicas, name=found.name, status=status)


# Of custom and external metrics


def _wanted(source: Obj) -> Wanted:
    metric = source["metric"]
    selector = format_label_selector(metric.get("selector"))
    return Wanted(name=metric["name"], selector="" if selector == NONE else selector)


async def _of_pods(metrics: Metrics, target: Target, source: Obj) -> Proposal:
    metric = _wanted(source)
    try:
        samples = await metrics.of_pods(metric, target.namespace, target.selector)
    except MetricsError as err:
        raise MetricsError(f"unable to get metric {metric.name}: {err}") from err
    goal = milli(source["target"]["averageValue"])
    scaled = by_average(
        target.current, target.pods, samples, goal, tolerance=target.tolerance, now=target.now
    )
    current = {"averageValue": _amount(scaled.average or 0)}
    status = {"metric": source["metric"], "current": current}
    return Proposal(replicas=scaled.replicas, name=f"pods metric {metric.name}", status=status)


async def _of_object(metrics: Metrics, target: Target, source: Obj) -> Proposal:
    metric, about, goal = _wanted(source), source["describedObject"], source["target"]
    kind = goal.get("type")
    if kind not in ("Value", "AverageValue"):
        raise MetricsError(
            "invalid object metric source: neither a value target nor an average value target "
            "was set"
        )
    per_pod = kind == "AverageValue"
    try:
        usage = await metrics.of_object(metric, target.namespace, about)
    except MetricsError as err:
        # Upstream's words are in this order.
        where = f"{about['kind']} on {target.namespace} {about['name']}"
        text = f"unable to get metric {metric.name}: {where}/{err}"
        if per_pod:
            text = f"failed to get {metric.name} object metric: {text}"
        raise MetricsError(text) from err
    scaled = _shared(target, usage, goal, per_pod=per_pod)
    status = {
        "metric": source["metric"], "describedObject": about, "current": _measured(scaled),
    }  # fmt: skip
    name = f"{about['kind']} metric {metric.name}"
    return Proposal(replicas=scaled.replicas, name=name, status=status)


async def _of_external(metrics: Metrics, target: Target, source: Obj) -> Proposal:
    metric, goal = _wanted(source), source["target"]
    per_pod = goal.get("averageValue") is not None
    if not per_pod and goal.get("value") is None:
        raise MetricsError(
            "invalid external metric source: neither a value target nor an average value target "
            "was set"
        )
    printed = go_selector(source["metric"].get("selector"))
    try:
        usage = await metrics.external(metric, target.namespace)
    except MetricsError as err:
        about = f"{target.namespace}/{metric.name}/{printed}"
        raise MetricsError(f"unable to get external metric {about}: {err}") from err
    scaled = _shared(target, usage, goal, per_pod=per_pod)
    status = {"metric": source["metric"], "current": _measured(scaled)}
    name = f"external metric {metric.name}({printed})"
    return Proposal(replicas=scaled.replicas, name=name, status=status)


def _shared(target: Target, usage: int, goal: Obj, *, per_pod: bool) -> Scaled:
    if per_pod:
        wanted = milli(goal["averageValue"])
        return by_value_per_pod(target.present, usage, wanted, tolerance=target.tolerance)
    wanted = milli(goal["value"])
    return by_value(target.current, target.pods, usage, wanted, tolerance=target.tolerance)


def _measured(scaled: Scaled) -> Obj:
    if scaled.average is not None:
        return {"averageValue": _amount(scaled.average)}
    return {"value": _amount(scaled.value or 0)}


# All of them

Propose = Callable[[Metrics, Target, Obj], Awaitable[Proposal]]

_BY_TYPE: Mapping[str, tuple[str, str, str, Propose]] = {
    # type: its field in the spec, the condition's reason, the error's words, how
    "Resource": (
        "resource", "FailedGetResourceMetric", "failed to get {name} resource metric value",
        _of_resource,
    ),
    "ContainerResource": (
        "containerResource", "FailedGetContainerResourceMetric",
        "failed to get {name} container metric value", _of_container,
    ),
    "Pods": ("pods", "FailedGetPodsMetric", "failed to get pods metric value", _of_pods),
    "Object": ("object", "FailedGetObjectMetric", "failed to get object metric value", _of_object),
    "External": (
        "external", "FailedGetExternalMetric", "failed to get {name} external metric value",
        _of_external,
    ),
}  # fmt: skip


async def propose(metrics: Metrics, target: Target, spec: Obj) -> Proposal:
    """For one entry of spec.metrics. Raises Unproposed."""
    known = _BY_TYPE.get(spec["type"])
    if known is None:
        text = f'unknown metric source type "{spec["type"]}"'
        raise Unproposed("InvalidMetricSourceType", text, text)
    field, reason, words, how = known
    source = spec[field]
    try:
        found = await how(metrics, target, source)
    except MetricsError as err:
        name = source.get("container") or source.get("name") or source["metric"]["name"]
        raise Unproposed(reason, str(err), f"{words.format(name=name)}: {err}") from err
    status = {"type": spec["type"], field: found.status}
    return Proposal(replicas=found.replicas, name=found.name, status=status)
