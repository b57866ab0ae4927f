"""What a write would take of the namespace's quotas, and whether there is that much left. Pure.

As apiserver admission/plugin/resourcequota CheckRequest; the numbers are edgek/kinds/quota_usage.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from edgek.api.meta import Obj, get_path, name
from edgek.api.quantity import add_quantities, canonical, parse_quantity
from edgek.kinds.pod import POD
from edgek.kinds.quota_scopes import quota_matches
from edgek.kinds.quota_usage import (
    Usage,
    is_counted,
    matching_resources,
    missing_amounts,
    usage,
)
from server.admission.chain import Attributes
from server.admission.refusal import forbidden

Charges = dict[str, Usage]
"""What is added to status.used, by quota."""
_RESIZABLE = {("", "services"), ("", "persistentvolumeclaims")}


def is_charged(a: Attributes) -> bool:
    """Whether the operation can take anything of a quota (As each evaluator's Handles)."""
    if not a.namespace or not is_counted(a.kind):
        return False
    if a.subresource:
        return a.kind == POD and a.subresource == "resize" and a.operation == "UPDATE"
    if a.operation == "UPDATE":
        return (a.kind.group, a.kind.plural) in _RESIZABLE
    return a.operation == "CREATE"


def plan_charges(
    a: Attributes, quotas: Sequence[Obj], used: Mapping[str, Usage], *, now: datetime
) -> Charges:
    """Raises Forbidden where a quota is exceeded, or not enough is said to tell. ``used`` is by
    quota: status.used and what was planned since."""
    limiting = [q for q in quotas if quota_matches(q, a.kind, a.obj, hard=hard_of(q))]
    for quota in limiting:
        _check_told(a, quota, used[name(quota)])
    charges: Charges = {}
    for quota in limiting:
        asked = _asked(a, quota, now)
        if asked:
            _check_left(a, quota, asked, used[name(quota)])
            charges[name(quota)] = asked
    return charges


def hard_of(quota: Obj) -> Usage:
    """What is enforced: spec.hard as soon as the controller has counted for it."""
    found: Usage = get_path(quota, "status", "hard", default={})
    return found


def used_of(quota: Obj) -> Usage:
    found: Usage = get_path(quota, "status", "used", default={})
    return found


def added(used: Mapping[str, str], more: Mapping[str, str], *, sign: int = 1) -> Usage:
    """``used`` changed by what it has of ``more``; never below zero."""
    out = dict(used)
    for resource, amount in more.items():
        if resource in out or sign > 0:
            total = add_quantities(out.get(resource, "0"), amount, sign=sign)
            out[resource] = total if parse_quantity(total) > 0 else "0"
    return out


def _check_told(a: Attributes, quota: Obj, used: Usage) -> None:
    resources = matching_resources(a.kind, hard_of(quota))
    if a.kind == POD and (missing := missing_amounts(resources, a.obj)):
        raise forbidden(a, f"failed quota: {name(quota)}: {missing}")
    if any(resource not in used for resource in resources):
        raise forbidden(
            a, f"status unknown for quota: {name(quota)}, resources: {','.join(resources)}"
        )


def _asked(a: Attributes, quota: Obj, now: datetime) -> Usage:
    """What this quota limits of what the write adds; of an update only what it adds."""
    hard, asked = hard_of(quota), usage(a.kind, a.obj, now=now)
    if a.operation == "UPDATE" and a.old and quota_matches(quota, a.kind, a.old, hard=hard):
        before = usage(a.kind, a.old, now=now)
        asked = {r: add_quantities(v, before.get(r, "0"), sign=-1) for r, v in asked.items()}
    return {r: v for r, v in asked.items() if r in hard and parse_quantity(v) > 0}


def _check_left(a: Attributes, quota: Obj, asked: Usage, used: Usage) -> None:
    hard, total = hard_of(quota), added(used, asked)
    exceeded = [r for r in asked if parse_quantity(total[r]) > parse_quantity(hard[r])]
    if exceeded:
        raise forbidden(
            a,
            f"exceeded quota: {name(quota)}, requested: {_shown(asked, exceeded)}, "
            f"used: {_shown(used, exceeded)}, limited: {_shown(hard, exceeded)}",
        )


def _shown(amounts: Mapping[str, str], resources: Iterable[str]) -> str:
    return ",".join(f"{r}={canonical(amounts.get(r, '0'))}" for r in sorted(resources))
