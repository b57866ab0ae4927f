"""What may change of a pod that schedulingGates still hold back.

It is not placed yet, so where it may run can be narrowed, never widened (upstream:
validateNodeSelectorMutation, validateNodeAffinityMutation).
"""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath

SPEC = FieldPath("spec")
TERMS = ("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
REQUIREMENTS = ("matchExpressions", "matchFields")


def validate_gates(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    """Gates only go; while there are some, placement is only narrowed."""
    had = {g.get("name") for g in before.get("schedulingGates") or ()}
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name") not in had:
            text = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            errors.forbidden(SPEC.child("schedulingGates").index(index), text)
    if had:
        _validate_selector(spec, before, errors)
        _validate_affinity(spec, before, errors)


def without_placement(spec: Obj, before: Obj) -> Obj:
    """``spec`` with ``before``'s placement, as far as a gate lets it change."""
    out = {k: v for k, v in spec.items() if k not in ("nodeSelector", "affinity")}
    affinity = {k: v for k, v in (spec.get("affinity") or {}).items() if k != "nodeAffinity"}
    affinity["nodeAffinity"] = get_path(before, "affinity", "nodeAffinity")
    return {**out, "nodeSelector": before.get("nodeSelector"), "affinity": affinity}


def _validate_selector(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    has, had = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if had.items() - has.items():
        text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.invalid(SPEC.child("nodeSelector"), has, text)


def _validate_affinity(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    where = ("affinity", "nodeAffinity", *TERMS)
    has, had = get_path(spec, *where, default=[]), get_path(before, *where, default=[])
    path = SPEC.child(*where)
    if had and len(has) != len(had):
        text = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        errors.invalid(path, has, text)
        return
    for index, (term, old) in enumerate(zip(has, had, strict=False)):
        if not _only_adds(term, old):
            text = "only additions are allowed (no mutations or deletions)"
            errors.invalid(path.index(index), term, text)


def _only_adds(term: Obj, old: Obj) -> bool:
    """An empty term matches no node, so anything in it would widen the choice."""
    parts = [(term.get(field) or [], old.get(field) or []) for field in REQUIREMENTS]
    if not any(was for _, was in parts):
        return not any(now for now, _ in parts)
    return all(now[: len(was)] == was for now, was in parts)
