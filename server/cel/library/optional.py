"""optional.of(x), optional.none() and what they can do (cel-go cel.OptionalTypes)."""

from functools import partial
from typing import Any

from server.cel.errors import CelError
from server.cel.overload import Overload, overload
from server.cel.values import Optional

NONE = Optional()
_known = partial(overload, builtin=True)


def _of_non_zero(value: Any) -> Optional:
    empty = value is None or value in (False, 0, "", b"") or (not value and value != value)
    return NONE if empty or value in ([], {}) else Optional(value, True)


def _value(optional: Optional) -> Any:
    if not optional.present:
        raise CelError("optional.none() dereference")
    return optional.value


OVERLOADS: tuple[Overload, ...] = (
    _known("of(dyn) -> dyn", lambda value: Optional(value, True), namespace="optional"),
    _known("ofNonZeroValue(dyn) -> dyn", _of_non_zero, namespace="optional"),
    _known("none() -> dyn", lambda: NONE, namespace="optional"),
    _known("optional_type.hasValue() -> bool", lambda optional: optional.present),
    _known("optional_type.value() -> dyn", _value),
)
