"""What autoscaling/v1 has no fields for travels in annotations of its HorizontalPodAutoscalers.

``write`` and ``read`` are the JSON texts of pkg/apis/autoscaling/v1/conversion.go, capitals of
the behavior's fields included (Go's internal type has no JSON names). Anybody can write
annotations, so what does not decode is as good as not there.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from edgek.api.errors import ApiError
from edgek.api.meta import Obj
from edgek.kinds.autoscaler_metrics import Convert, convert_metric

MAX_DEPTH_ERRORS = (ValueError, RecursionError)
TYPES = "io.k8s.api.autoscaling.v2."
_CONDITION = ("type", "status", "lastTransitionTime", "reason", "message")
_RULES = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
_POLICY = ("type", "value", "periodSeconds")


def go_json(value: Any) -> str:
    """As encoding/json: compact, with what HTML minds escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def write_metrics(metrics: list[Obj], table: Mapping[str, Convert]) -> str:
    return go_json([convert_metric(metric, table) for metric in metrics])


def write_conditions(conditions: list[Obj]) -> str:
    return go_json([{f: c[f] for f in _CONDITION if f in c} for c in conditions])


def write_behavior(behavior: Obj) -> str:
    rules = ((field, behavior.get(field)) for field in ("scaleUp", "scaleDown"))
    return go_json({_capital(field): found and _rules(found) for field, found in rules})


def _rules(rules: Obj) -> Obj:
    out = {_capital(field): rules.get(field) for field in _RULES}
    policies = rules.get("policies") or ()
    out["Policies"] = [{_capital(f): p.get(f) for f in _POLICY} for p in policies] or None
    return out


def _capital(field: str) -> str:
    return field[0].upper() + field[1:]


def read_metrics(text: str | None, table: Mapping[str, Convert], kind: str) -> list[Obj] | None:
    """``kind`` is MetricSpec or MetricStatus. None where there is nothing to read."""

    def convert(found: Any) -> Any:
        _expect(isinstance(found, list) and all(_is_metric(m, table) for m in found))
        return [convert_metric(metric, table) for metric in found]

    return _read_list(text, convert, kind)


def _is_metric(metric: Any, table: Mapping[str, Convert]) -> bool:
    return isinstance(metric, dict) and all(
        metric.get(field) is None or isinstance(metric[field], dict) for field in table
    )


def read_conditions(text: str | None) -> list[Obj] | None:
    return _read_list(text, lambda found: found, "HorizontalPodAutoscalerCondition")


def read_behavior(text: str | None) -> Obj | None:
    kind = "HorizontalPodAutoscalerBehavior"

    def convert(found: Any) -> Any:
        _expect(isinstance(found, dict))
        return [_uncapital(found)]

    behaviors = _read_list(text, convert, kind)
    return {k: v for k, v in behaviors[0].items() if v is not None} if behaviors else None


def _uncapital(value: Any) -> Any:
    """Go finds a field whatever the case of its letters."""
    names = {f.lower(): f for f in ("scaleUp", "scaleDown", *_RULES, *_POLICY)}
    if isinstance(value, dict):
        return {names.get(k.lower(), k): _uncapital(v) for k, v in value.items() if v is not None}
    return [_uncapital(v) for v in value] if isinstance(value, list) else value


def _read_list(text: str | None, convert: Callable[[Any], Any], kind: str) -> list[Obj] | None:
    if text is None:
        return None
    try:
        found = convert(json.loads(text))
        _expect(isinstance(found, list))
        return [_checked(item, kind) for item in found]
    except (ApiError, *MAX_DEPTH_ERRORS):
        return None


def _expect(holds: bool) -> None:
    if not holds:
        raise ValueError("no such annotation")


def _checked(item: Any, kind: str) -> Obj:
    """As typed decoding leaves it. Raises BadRequest."""
    from edgek.schema import builtin_types

    schema = builtin_types().named(TYPES + kind)
    checked: Obj = _checker().check(item, schema, version="v2", kind=kind).obj
    return checked


@cache
def _checker() -> Any:
    """One for all, as it compiles each type once; made late, as few processes need it."""
    from edgek.schema.check import Checker

    return Checker()
