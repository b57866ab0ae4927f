"""ControllerRevision: an immutable snapshot of a workload's template."""

from edgek.api.meta import Obj, controller_of
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_not_negative
from edgek.kinds.columns import NONE, number
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.metadata import immutable


def _controller(obj: Obj) -> str:
    """``daemonset.apps/web``, as the CLI would name it."""
    ref = controller_of(obj)
    if ref is None:
        return NONE
    group, slash, _ = ref["apiVersion"].rpartition("/")
    return f"{ref['kind'].lower()}{'.' + group if slash else ''}/{ref['name']}"


def _validate(obj: Obj, errors: FieldErrors) -> None:
    check_not_negative(obj.get("revision") or 0, FieldPath("revision"), errors)
    if obj.get("data") is None:
        errors.required(FieldPath("data"), "data is mandatory")


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("data"), old.get("data"), FieldPath("data"), errors)


CONTROLLER_REVISION = Kind(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    columns=(
        NAME,
        Column(name="Controller", read=_controller, description="Whose history this is."),
        Column(name="Revision", read=number("revision"), type="integer", description="Its number."),
        AGE,
    ),
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "web-7d4b9c", "namespace": "default"},
        "revision": 1,
        "data": {"spec": {"template": {"$patch": "replace"}}},
    },
)
