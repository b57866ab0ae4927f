"""Namespace: a scope for names."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label, is_qualified_name
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind, Subresource
from edgek.kinds.metadata import STANDARD_FINALIZERS
from edgek.kinds.strategy import carry, ensure

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


def _default(obj: Obj) -> None:
    """Every namespace can be selected by its name, as a label."""
    if name := obj["metadata"].get("name"):
        ensure(obj, "metadata", "labels")[NAME_LABEL] = name


def _prepare(obj: Obj, old: Obj | None) -> None:
    """spec.finalizers change only through ``/finalize``, status only through ``/status``."""
    if old is not None:
        carry(obj, old, "spec", "status")
        return
    _default(obj)  # a name made from generateName is known only now
    finalizers = ensure(obj, "spec").get("finalizers") or []
    obj["spec"]["finalizers"] = list(dict.fromkeys([*finalizers, FINALIZER]))
    obj["status"] = {"phase": "Active"}


def _prepare_status(obj: Obj, old: Obj | None) -> None:
    carry(obj, old, "spec")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    path = FieldPath("spec.finalizers")
    for index, finalizer in enumerate((obj.get("spec") or {}).get("finalizers") or ()):
        problems = is_qualified_name(finalizer)
        for problem in problems:
            errors.invalid(path.index(index), finalizer, problem)
        if not problems and "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            errors.invalid(path.index(index), finalizer, text)


NAMESPACE = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    short_names=("ns",),
    namespaced=False,
    columns=(
        NAME,
        Column(name="Status", read=cell("status", "phase"), description="Active or Terminating."),
        AGE,
    ),
    subresources=(
        STATUS,
        Subresource(name="finalize", verbs=("update",)),
    ),
    selectable=("status.phase",),
    default=_default,
    prepare=_prepare,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_name=is_dns1123_label,
    example={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
)
