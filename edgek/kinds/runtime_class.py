"""RuntimeClass: a name for how containers of a pod are run, what that costs and where it can be."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label, validate_labels
from edgek.kinds.checks import repeated
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.placement_validation import validate_tolerations
from edgek.kinds.resource_validation import validate_resources


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As ValidateRuntimeClass; overhead is looked at as a container's limits are."""
    handler = obj.get("handler") or ""
    for problem in is_dns1123_label(handler):
        errors.invalid(FieldPath("handler"), handler, problem)
    fixed = (obj.get("overhead") or {}).get("podFixed") or {}
    validate_resources({"limits": fixed}, FieldPath("overhead"), errors)
    scheduling, path = obj.get("scheduling") or {}, FieldPath("scheduling")
    validate_labels(scheduling.get("nodeSelector"), path.child("nodeSelector"), errors)
    tolerations, where = scheduling.get("tolerations") or [], path.child("tolerations")
    validate_tolerations(tolerations, where, errors)
    for index in sorted(repeated(_matched(toleration) for toleration in tolerations)):
        errors.duplicate(where.index(index), tolerations[index])


def _matched(toleration: Obj) -> tuple[str, ...]:
    """As MatchToleration: all but how long."""
    fields = (("key", ""), ("effect", ""), ("operator", "Equal"), ("value", ""))
    return tuple(toleration.get(field) or zero for field, zero in fields)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    if new.get("handler") != old.get("handler"):
        errors.invalid(FieldPath("handler"), new.get("handler") or "", "field is immutable")


RUNTIME_CLASS = Kind(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    columns=(
        NAME,
        Column(
            name="Handler",
            read=cell("handler", default=""),
            description="The node's own name for this way of running containers.",
        ),
        AGE,
    ),
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "sandboxed"},
        "handler": "gvisor",
        "overhead": {"podFixed": {"cpu": "100m", "memory": "64Mi"}},
    },
)
