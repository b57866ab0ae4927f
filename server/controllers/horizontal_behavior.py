"""How fast an autoscaler may follow its load: windows, rates and limits.

Pure. What was recommended lately holds back what is recommended now; how much was changed lately
limits how much more may be. As pkg/controller/podautoscaler/horizontal.go; times are seconds of a
clock that only goes forward.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgek.api.meta import Obj
from edgek.kinds.autoscaler_defaults import SCALE_DOWN, SCALE_UP

DOWN_WINDOW = 300
"""Seconds, where behavior does not say (--horizontal-pod-autoscaler-downscale-stabilization)."""
LONGEST = 3600
"""No window and no period is longer."""

Moment = tuple[float, int]
"""When, and how many."""
Rules = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Past:
    """What is remembered of one autoscaler."""

    recommended: tuple[Moment, ...] = ()
    ups: tuple[Moment, ...] = ()
    downs: tuple[Moment, ...] = ()

    def with_recommendation(self, now: float, replicas: int) -> "Past":
        kept = _within(self.recommended, now - LONGEST)
        return Past(recommended=(*kept, (now, replicas)), ups=self.ups, downs=self.downs)

    def with_change(self, now: float, before: int, after: int) -> "Past":
        ups, downs = (tuple(_within(m, now - LONGEST)) for m in (self.ups, self.downs))
        if after > before:
            ups = (*ups, (now, after - before))
        elif after < before:
            downs = (*downs, (now, before - after))
        return Past(recommended=self.recommended, ups=ups, downs=downs)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``replicas`` after all limits, and what the conditions say of them."""

    replicas: int
    stabilized: bool
    able: tuple[str, str]
    limited: bool
    limit: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """From how many pods to how many, and between which bounds."""

    current: int
    desired: int
    least: int
    most: int
    past: Past = field(default_factory=Past)
    now: float = 0.0


READY = ("ReadyForNewScale", "recommended size matches current size")
UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent "
    "recommendation",
)
IN_RANGE = ("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
UP_LIMIT = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
DOWN_LIMIT = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)


def limit_wish(wish: Wish, behavior: Obj | None) -> Verdict:
    """As normalizeDesiredReplicas and normalizeDesiredReplicasWithBehaviors."""
    if behavior is None:
        stable, reason = _stabilize_plainly(wish), DOWN_STABILIZED
        replicas, limit = _limit_plainly(wish, stable)
    else:
        up: Rules = {**SCALE_UP, **(behavior.get("scaleUp") or {})}
        down: Rules = {**SCALE_DOWN, **(behavior.get("scaleDown") or {})}
        stable = _stabilize(wish, up, down)
        reason = UP_STABILIZED if wish.desired >= wish.current else DOWN_STABILIZED
        replicas, limit = _limit(wish, stable, up, down)
    held = stable != wish.desired
    return Verdict(
        replicas=replicas,
        stabilized=held,
        able=reason if held else READY,
        limited=replicas != stable,
        limit=limit,
    )


def _within(moments: Iterable[Moment], cutoff: float) -> list[Moment]:
    return [moment for moment in moments if moment[0] > cutoff]


def _stabilize_plainly(wish: Wish) -> int:
    recent = _within(wish.past.recommended, wish.now - DOWN_WINDOW)
    return max([wish.desired, *(count for _, count in recent)])


def _limit_plainly(wish: Wish, stable: int) -> tuple[int, tuple[str, str]]:
    fastest = max(2 * wish.current, 4)
    most, why = (fastest, UP_LIMIT) if wish.most > fastest else (wish.most, TOO_MANY)
    if stable < wish.least:
        return wish.least, TOO_FEW
    return (most, why) if stable > most else (stable, IN_RANGE)


def _stabilize(wish: Wish, up: Rules, down: Rules) -> int:
    """As much of the wish as all recent ones agree with."""

    def recent(window: int) -> list[int]:
        found = _within(wish.past.recommended, wish.now - window)
        return [wish.desired, *(count for _, count in found)]

    lowest = min(recent(up.get("stabilizationWindowSeconds") or 0))
    window = down.get("stabilizationWindowSeconds")
    highest = max(recent(DOWN_WINDOW if window is None else window))
    return min(max(wish.current, lowest), highest)


def _limit(wish: Wish, stable: int, up: Rules, down: Rules) -> tuple[int, tuple[str, str]]:
    if stable > wish.current:
        fastest = max(_up_limit(wish, up), wish.current)
        most, why = (fastest, UP_LIMIT) if wish.most > fastest else (wish.most, TOO_MANY)
        return (most, why) if stable > most else (stable, IN_RANGE)
    if stable < wish.current:
        fastest = min(_down_limit(wish, down), wish.current)
        least, why = (fastest, DOWN_LIMIT) if wish.least < fastest else (wish.least, TOO_FEW)
        return (least, why) if stable < least else (stable, IN_RANGE)
    return stable, IN_RANGE


def _up_limit(wish: Wish, rules: Rules) -> int:
    if rules["selectPolicy"] == "Disabled":
        return wish.current
    found = []
    for policy in rules["policies"]:
        start = _at_start(wish, policy["periodSeconds"])
        if policy["type"] == "Pods":
            found.append(start + int(policy["value"]))
        else:  # rounded up, or a small number of pods would never grow
            found.append(math.ceil(start * (1 + policy["value"] / 100)))
    return _select(found, least=rules["selectPolicy"] == "Min")


def _down_limit(wish: Wish, rules: Rules) -> int:
    if rules["selectPolicy"] == "Disabled":
        return wish.current
    found = []
    for policy in rules["policies"]:
        start = _at_start(wish, policy["periodSeconds"])
        if policy["type"] == "Pods":
            found.append(start - int(policy["value"]))
        else:
            found.append(int(start * (1 - policy["value"] / 100)))
    return _select(found, least=rules["selectPolicy"] != "Min")


def _select(found: Sequence[int], *, least: bool) -> int:
    return min(found) if least else max(found)


def _at_start(wish: Wish, period: int) -> int:
    """How many pods there were when the period began."""
    cutoff = wish.now - period
    added = sum(count for _, count in _within(wish.past.ups, cutoff))
    deleted = sum(count for _, count in _within(wish.past.downs, cutoff))
    return wish.current - added + deleted
