"""Is an object what its kind allows? Every problem at once, as a user wants to hear them.

As apiserver registry/rest BeforeCreate and BeforeUpdate: the metadata that all objects have, then
the kind's own rules, then what needs more than the object to be seen. Expressions take long
enough that others get their turn meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping

from edgek.aio.slices import in_slices
from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.kind import Kind
from edgek.kinds.metadata import validate_object_meta, validate_object_meta_update
from edgek.schema.schema import NOTHING

Check = Callable[[Obj, Obj | None, FieldErrors], Awaitable[None]]
"""Validation that a kind itself has no means for. ``errors`` holds what is wrong otherwise."""


async def validate(
    kind: Kind,
    obj: Obj,
    old: Obj | None,
    checks: Mapping[Kind, Check],
    *,
    status: bool = False,
) -> None:
    """``old`` is None for a new object; ``status``: a write of the status. Raises Invalid."""
    problems = FieldErrors()
    validate_object_meta(
        obj,
        problems,
        namespaced=kind.namespaced,
        validate_name=kind.validate_name,
        free_finalizers=kind.is_extension,
    )
    of_status = kind.validate_status if status else None
    if old is None or not (kind.custom or of_status):  # those hold an update to what it changed
        kind.validate(obj, problems)
    if old is not None:
        validate_object_meta_update(obj, old, problems)
        (of_status or kind.validate_update)(obj, old, problems)
    if kind.shape is not None:
        before = NOTHING if old is None else old
        await in_slices(kind.shape.check_rules(obj, before, problems))
    if (check := checks.get(kind)) is not None:
        await check(obj, old, problems)
    if problems:
        raise Invalid.of(kind, obj["metadata"].get("name") or "", problems)
