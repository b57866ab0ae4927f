"""What a kind says of an example with something changed: its sentences, as users read them."""

from typing import Any

from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import ALL
from edgek.kinds.kind import Kind

KINDS = {kind.plural: kind for kind in reversed(ALL) if kind.conversion is None}
"""Of two with one name (metrics.k8s.io has pods and nodes too) the stored one."""
Change = tuple[tuple[str | int, ...], Any]
"""A path, and what is to be there; None takes it away."""


def put(obj: Obj, path: tuple[str | int, ...], value: Any) -> Obj:
    inner: Any = obj
    for step in path[:-1]:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    if value is None:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return obj


def made(kind: Kind) -> Obj:
    """The example as it is on create."""
    obj = deep_copy(dict(kind.example))
    kind.default(obj)
    kind.prepare(obj, None)
    return obj


def problems(kind: Kind, obj: Obj, old: Obj | None = None) -> list[str]:
    """Of an object, as an update of ``old`` where that is given."""
    errors = FieldErrors()
    kind.validate(obj, errors)
    if old is not None:
        kind.validate_update(obj, old, errors)
    return [str(e) for e in errors]


def told(plural: str, *changes: Change) -> list[str]:
    """Of an object that is created so."""
    kind = KINDS[plural]
    obj = made(kind)
    for path, value in changes:
        put(obj, path, value)
    return problems(kind, obj)


def told_of_update(plural: str, *changes: Change, before: tuple[Change, ...] = ()) -> list[str]:
    """Of an example that was changed by ``before`` long ago, and by ``changes`` now."""
    kind = KINDS[plural]
    old = made(kind)
    for path, value in before:
        put(old, path, value)
    new = deep_copy(old)
    for path, value in changes:
        put(new, path, value)
    return problems(kind, new, old)
