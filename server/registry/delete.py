"""What a deletion does to an object: remove it, or mark it and wait.

As apiserver registry/generic/registry/store.go (deletionFinalizersForGarbageCollection,
BeforeDelete) and registry/rest/delete.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.api.time import format_time, parse_time
from edgek.kinds.kind import Kind

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_LONGEST_GRACE = 2**31
"""68 years. The field holds more, but the date it leads to cannot be written."""
_POLICIES = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": ""}


@dataclass(frozen=True, kw_only=True)
class DeletePlan:
    """``remove``: it goes now. Else ``marked`` is what to store instead, None for no change."""

    remove: bool = False
    marked: Obj | None = None


def check_preconditions(kind: Kind, obj: Obj, options: Mapping[str, Any]) -> None:
    wanted = options.get("preconditions") or {}
    meta = obj["metadata"]
    for field, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(field) and wanted[field] != meta[field]:
            raise errors.Conflict.of(
                kind,
                meta["name"],
                f"Precondition failed: {word} in precondition: {wanted[field]}, {word} in object "
                f"meta: {meta[field]}",
            )


def plan_delete(kind: Kind, obj: Obj, *, options: Mapping[str, Any], now: datetime) -> DeletePlan:
    """``obj`` is shared and stays as it is. Raises Conflict, BadRequest."""
    check_preconditions(kind, obj, options)
    if kind.on_delete is not None and not obj["metadata"].get("deletionTimestamp"):
        obj = {**obj, "metadata": dict(obj["metadata"])}
        kind.on_delete(obj, format_time(now))
    grace = _grace(kind, obj, options)
    finalizers = _finalizers(kind, obj, options)
    meta = obj["metadata"]
    namespace_content = kind.kind == "Namespace" and (obj.get("spec") or {}).get("finalizers")
    if not finalizers and not namespace_content and grace == 0:
        return DeletePlan(remove=True)
    marked = {**obj, "metadata": _marked(meta, finalizers=finalizers, grace=grace, now=now)}
    if kind.kind == "Namespace":
        marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return DeletePlan(marked=None if marked == obj else marked)


def _grace(kind: Kind, obj: Obj, options: Mapping[str, Any]) -> int:
    asked = options.get("gracePeriodSeconds")
    if asked is not None and (not isinstance(asked, int) or asked < 0):
        asked = 1  # As rest.BeforeDelete: a negative grace means as fast as is graceful.
    grace = kind.graceful(obj, asked) if kind.graceful is not None else 0
    return min(grace, _LONGEST_GRACE)


def _finalizers(kind: Kind, obj: Obj, options: Mapping[str, Any]) -> list[str]:
    policy = options.get("propagationPolicy")
    orphan = options.get("orphanDependents")
    if policy is not None and orphan is not None:
        raise errors.BadRequest(
            "propagationPolicy and orphanDependents may not be both set at the same time"
        )
    if policy is not None and policy not in _POLICIES:
        raise errors.BadRequest(
            f'propagationPolicy: Unsupported value: "{policy}": supported values: '
            '"Background", "Foreground", "Orphan"'
        )
    have = list(obj["metadata"].get("finalizers") or ())
    if policy is None and orphan is None:
        decided = not kind.orphans or ORPHAN in have or FOREGROUND in have
        return have if decided else [*have, ORPHAN]
    wanted = _POLICIES[policy] if policy is not None else (ORPHAN if orphan else "")
    kept = [f for f in have if f not in (ORPHAN, FOREGROUND)]
    return [*kept, wanted] if wanted else kept


def _marked(meta: Obj, *, finalizers: list[str], grace: int, now: datetime) -> Obj:
    out = {**meta}
    if finalizers:
        out["finalizers"] = finalizers
    else:
        out.pop("finalizers", None)
    if not meta.get("deletionTimestamp"):
        out["deletionTimestamp"] = format_time(now + timedelta(seconds=grace))
        out["deletionGracePeriodSeconds"] = grace
        if meta.get("generation"):
            out["generation"] = meta["generation"] + 1
    elif grace < (meta.get("deletionGracePeriodSeconds") or 0):
        # A later delete may only shorten the grace, counted from the first one.
        begun = parse_time(meta["deletionTimestamp"]) - timedelta(
            seconds=meta["deletionGracePeriodSeconds"]
        )
        out["deletionTimestamp"] = format_time(begun + timedelta(seconds=grace))
        out["deletionGracePeriodSeconds"] = grace
    return out
