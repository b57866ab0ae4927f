"""Resizing a running pod: other amounts of cpu and memory for its containers.

As ValidatePodResize and podResizeStrategy. A write through pods/resize changes nothing else;
whether the node can do it is seen from what it reports of the running containers.
"""

from collections.abc import Mapping
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.ephemeral_containers import MIRROR, WHOLE
from edgek.kinds.pod_parts import keep_all_but_spec, with_same_empties
from edgek.kinds.pods import is_sidecar, qos_class

SPEC = FieldPath("spec")
LISTS = ("containers", "initContainers")
RESIZABLE = ("cpu", "memory")
PARTS = ("requests", "limits")
_ONLY = "only cpu and memory resources are mutable"


def prepare_resize(pod: Obj, old: Obj) -> None:
    """Containers that do not fit the old ones stay as given, for validation to tell."""
    asked, was = pod.get("spec") or {}, old.get("spec") or {}
    spec = {**was}
    for field in LISTS:
        if field in asked or field in was:
            spec[field] = _resized(asked.get(field) or [], was.get(field) or [])
    spec.pop("resources", None)
    if asked.get("resources") is not None:
        spec["resources"] = asked["resources"]
    keep_all_but_spec(pod, old, spec)


def _resized(asked: list[Obj], was: list[Obj]) -> list[Obj]:
    if [c.get("name") for c in asked] != [c.get("name") for c in was]:
        return asked
    out = []
    for new, old in zip(asked, was, strict=True):
        kept = {k: v for k, v in old.items() if k not in ("resources", "resizePolicy")}
        taken = {k: new[k] for k in ("resources", "resizePolicy") if new.get(k)}
        out.append({**kept, "resources": {}, **taken})
    return out


def validate_resize(new: Obj, old: Obj, errors: FieldErrors) -> None:
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    if MIRROR in (old["metadata"].get("annotations") or {}):
        errors.errors.clear()
        errors.forbidden(WHOLE, "static pods cannot be resized")
        return
    if (was.get("os") or {}).get("name") == "windows":
        errors.errors.clear()
        errors.forbidden(WHOLE, "windows pods cannot be resized")
        return
    status = old.get("status") or {}
    qos = status.get("qosClass") or qos_class(old)
    if qos != qos_class(new):
        text = "Pod QOS Class may not change as a result of resizing"
        errors.invalid(SPEC, (new.get("status") or {}).get("qosClass") or "", text)
    if not _can_resize(status):
        errors.forbidden(SPEC, "Pod running on node without support for resize")
    _validate_pod_level(spec, was, errors)
    if _validate_order(spec, was, errors):
        for field, validate in (
            ("containers", _validate_container), ("initContainers", _validate_init),
        ):  # fmt: skip
            pairs = zip(spec.get(field) or (), was.get(field) or (), strict=True)
            for index, (container, before) in enumerate(pairs):
                path = SPEC.child(field).index(index)
                _validate_removed(container, before, path.child("resources"), errors)
                validate(container, before, path, errors)


def _can_resize(status: Obj) -> bool:
    """A node that can resize reports the resources of the containers it runs."""
    states = status.get("containerStatuses") or ()
    running = next((s for s in states if (s.get("state") or {}).get("running")), None)
    return running is None or running.get("resources") is not None


def _validate_order(spec: Obj, was: Obj, errors: FieldErrors) -> bool:
    """Whether both have the same containers."""
    fits = True
    for field in LISTS:
        names = [[c.get("name") for c in s.get(field) or ()] for s in (spec, was)]
        if len(names[0]) != len(names[1]):
            fits = False
            text = f"{field} may not be added or removed on resize"
            errors.forbidden(SPEC.child(field), text)
            continue
        for index, (name, before) in enumerate(zip(*names, strict=True)):
            if name != before:
                fits = False
                text = f"{field} may not be renamed or reordered on resize"
                errors.forbidden(SPEC.child(field).index(index).child("name"), text)
    return fits


def _validate_container(new: Obj, old: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if _fixed(new) != _fixed(old):
        errors.forbidden(SPEC, _ONLY)


def _validate_init(new: Obj, old: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if _fixed(new) != _fixed(old):
        text = "only cpu and memory resources for init or sidecar containers are mutable"
        errors.forbidden(path, text)
    if is_sidecar(new) or with_same_empties(new) == with_same_empties(old):
        return
    policies = new.get("resizePolicy") or ()
    if any(p.get("restartPolicy") == "RestartContainer" for p in policies):
        text = (
            "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
        )
        errors.forbidden(path, text)


def _fixed(container: Obj) -> Any:
    """What a resize leaves alone."""
    resources = _without_resizable(container.get("resources") or {})
    return with_same_empties({**container, "resources": resources})


def _without_resizable(resources: Mapping[str, Any]) -> Obj:
    return {
        part: {k: v for k, v in amounts.items() if k not in RESIZABLE}
        if part in PARTS and amounts
        else amounts
        for part, amounts in resources.items()
    }


def _validate_removed(
    new: Obj, old: Obj, path: FieldPath, errors: FieldErrors, what: str = ""
) -> None:
    """No request and no limit goes; ``new`` and ``old`` have resources."""
    for part in PARTS:
        has, had = (((o.get("resources") or {}).get(part) or {}) for o in (new, old))
        if not had.keys() <= has.keys():
            errors.forbidden(path.child(part), f"{what}resource {part} cannot be removed")


def _validate_pod_level(spec: Obj, was: Obj, errors: FieldErrors) -> None:
    path, has, had = SPEC.child("resources"), spec.get("resources"), was.get("resources")
    if had and has is None:
        errors.forbidden(path, "pod-level resources cannot be removed")
        return
    _validate_removed(spec, was, path, errors, "pod-level ")
    fixed = [with_same_empties(_without_resizable(found or {})) for found in (has, had)]
    if fixed[0] != fixed[1]:
        errors.forbidden(SPEC, f"{_ONLY} at pod-level")
