"""Evictions decided: what a disruption budget makes of one. Pure.

As registry/core/pod/storage/eviction.go; eviction.py carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgek.api import errors
from edgek.api.conditions import with_condition
from edgek.api.meta import Key, Obj, get_path, key_of
from edgek.api.selectors import from_label_selector
from edgek.kinds.pods import is_ready, is_terminal, phase
from server.registry.registry import copy_of

MAX_DISRUPTED_PODS = 2000
RETRY_SECONDS = 10
CAUSE = "DisruptionBudget"
VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
    "support."
)


@dataclass(frozen=True, kw_only=True)
class EvictionPlan:
    """``budget``: whom to take a disruption from. ``unchanged``: the pod must be as it was seen,
    because its state is what allows the deletion. ``named``: the budget that matches it."""

    budget: Key | None = None
    unchanged: bool = False
    named: str = ""


def plan_eviction(pod: Obj, budgets: list[Obj]) -> EvictionPlan:
    """``budgets`` are those of the pod's namespace. Raises InternalError."""
    if may_ignore_budgets(pod):
        over = is_terminal(pod) or bool(pod["metadata"].get("deletionTimestamp"))
        return EvictionPlan(unchanged=not over)
    labels = pod["metadata"].get("labels") or {}
    matching = [b for b in budgets if _selects(b, labels)]
    if len(matching) > 1:
        raise errors.InternalError(SEVERAL)
    if not matching:
        return EvictionPlan()
    budget = matching[0]
    name = budget["metadata"]["name"]
    if not is_ready(pod) and _lets_unhealthy_go(budget):
        return EvictionPlan(unchanged=True, named=name)
    return EvictionPlan(budget=key_of(budget), named=name)


def may_ignore_budgets(pod: Obj) -> bool:
    """What serves nobody, not yet or no more, disrupts nobody."""
    return (
        is_terminal(pod)
        or phase(pod) == "Pending"
        or bool(pod["metadata"].get("deletionTimestamp"))
    )


def _selects(budget: Obj, labels: Mapping[str, str]) -> bool:
    """An empty selector means every pod, none at all means none."""
    selector = get_path(budget, "spec", "selector")
    return selector is not None and from_label_selector(selector).matches(labels)


def _lets_unhealthy_go(budget: Obj) -> bool:
    if get_path(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status: Obj = budget.get("status") or {}
    return bool(0 < status.get("desiredHealthy", 0) <= status.get("currentHealthy", 0))


def decremented(budget: Obj, *, pod_name: str, now: str) -> Obj:
    """The budget with one disruption less. Raises TooManyRequests, Forbidden."""
    meta, status = budget["metadata"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise not_yet_known(meta["name"])
    allowed = status.get("disruptionsAllowed", 0)
    disrupted = status.get("disruptedPods") or {}
    if allowed < 0:
        raise _forbidden(meta["name"], "pdb disruptions allowed is negative")
    if len(disrupted) > MAX_DISRUPTED_PODS:
        text = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise _forbidden(meta["name"], text)
    if allowed == 0:
        wanted, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _too_many(
            f"The disruption budget {meta['name']} needs {wanted} healthy pods and has {healthy} "
            "currently"
        )
    new = copy_of(budget)
    new["status"]["disruptionsAllowed"] = allowed - 1
    new["status"]["disruptedPods"] = {**disrupted, pod_name: now}
    if allowed == 1:
        new["status"]["conditions"] = _exhausted(status, now=now)
    return new


def _exhausted(status: Obj, *, now: str) -> list[Obj]:
    condition = {
        "type": "DisruptionAllowed",
        "status": "False",
        "reason": "InsufficientPods",
        "message": "",
        "observedGeneration": status.get("observedGeneration", 0),
    }
    return with_condition(status.get("conditions"), condition, now=now)


def _too_many(cause: str, *, seconds: int = 0) -> errors.TooManyRequests:
    details: dict[str, Any] = {"causes": [{"reason": CAUSE, "message": cause}]}
    if seconds:
        details["retryAfterSeconds"] = seconds
    return errors.TooManyRequests(VIOLATED, details=details)


def not_yet_known(name: str) -> errors.TooManyRequests:
    """The budget's status is not of its newest spec, or the pod changed meanwhile."""
    cause = f"The disruption budget {name} is still being processed by the server."
    return _too_many(cause, seconds=RETRY_SECONDS)


def _forbidden(name: str, why: str) -> errors.Forbidden:
    details = {"name": name, "group": "policy", "kind": "poddisruptionbudget"}
    text = f'poddisruptionbudget.policy "{name}" is forbidden: {why}'
    return errors.Forbidden(text, details=details)


def marked(pod: Obj, options: Mapping[str, Any], *, now: str) -> Obj:
    """The pod with the condition that says why it goes. Raises Conflict."""
    wanted, meta = options.get("preconditions") or {}, pod["metadata"]
    for field, word, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        if wanted.get(field) and wanted[field] != meta[field]:
            raise errors.Conflict(
                f'Operation cannot be fulfilled on Pod "{meta["name"]}": the {word} in the '
                f"precondition ({wanted[field]}) does not match the {word} in record "
                f"({meta[field]}). The object might have been {hint}",
                details={"name": meta["name"], "kind": "Pod"},
            )
    new = copy_of(pod)
    condition: Obj = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastProbeTime": None,
    }
    status = new.setdefault("status", {})
    if status.get("observedGeneration"):
        condition["observedGeneration"] = meta.get("generation", 0)
    status["conditions"] = with_condition(status.get("conditions"), condition, now=now)
    return new


def with_version(options: Obj, version: str) -> Obj:
    """Delete options that hold for this state of the object only."""
    wanted = {**(options.get("preconditions") or {}), "resourceVersion": version}
    return {**options, "preconditions": wanted}
