"""Is an object what its kind allows? Every problem at once, as a user wants to hear them.

As apiserver registry/rest BeforeCreate and BeforeUpdate: the metadata that all objects have, then
the kind's own rules, then what needs more than the object to be seen.
"""

from collections.abc import Callable, Mapping

from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.kind import Kind
from edgek.kinds.metadata import validate_object_meta, validate_object_meta_update

Check = Callable[[Obj, FieldErrors], None]
"""Validation that a kind itself has no means for; of objects that are right otherwise."""


def validate(kind: Kind, obj: Obj, old: Obj | None, checks: Mapping[Kind, Check]) -> None:
    """``old`` is None for a new object. Raises Invalid."""
    problems = FieldErrors()
    validate_object_meta(
        obj,
        problems,
        namespaced=kind.namespaced,
        validate_name=kind.validate_name,
        free_finalizers=kind.is_extension,
    )
    if old is None or not kind.custom:  # custom kinds hold an update to what it changed
        kind.validate(obj, problems)
    if old is not None:
        validate_object_meta_update(obj, old, problems)
        kind.validate_update(obj, old, problems)
    if not problems and (check := checks.get(kind)) is not None:
        check(obj, problems)
    if problems:
        raise Invalid.of(kind, obj["metadata"].get("name") or "", problems)
