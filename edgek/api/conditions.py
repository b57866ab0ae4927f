"""Status conditions: find, set, and know whether anything changed."""

from collections.abc import Iterable
from typing import Any

Condition = dict[str, Any]


def find_condition(conditions: Iterable[Condition] | None, kind: str) -> Condition | None:
    return next((c for c in conditions or () if c.get("type") == kind), None)


def is_true(conditions: Iterable[Condition] | None, kind: str) -> bool:
    found = find_condition(conditions, kind)
    return found is not None and found.get("status") == "True"


def with_condition(
    conditions: Iterable[Condition] | None, new: Condition, *, now: str
) -> list[Condition]:
    """The conditions with ``new`` in place of the one of its type.

    ``lastTransitionTime`` is kept while status is unchanged and set to ``now`` (RFC 3339) when
    it changes, as meta.SetStatusCondition does. Order is kept; a new type goes last.
    """
    old = find_condition(conditions, new["type"])
    same = old is not None and old.get("status") == new.get("status")
    since = old.get("lastTransitionTime", now) if same and old else now
    merged = {**new, "lastTransitionTime": since}
    out = [merged if c.get("type") == new["type"] else c for c in conditions or ()]
    return out if old is not None else [*out, merged]
