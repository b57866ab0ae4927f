"""Numbers or percentages of pods: maxSurge, maxUnavailable, minAvailable."""

import re
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import NOT_NEGATIVE

_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
    "'93%', regex used for validation is '[0-9]+%')"
)


def _percent(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}%", value):
        return int(value[:-1])
    return None


def check_int_or_percent(value: Any, path: FieldPath, errors: FieldErrors) -> None:
    if isinstance(value, str) and _percent(value) is None:
        errors.invalid(path, value, _PERCENT)
    elif isinstance(value, int) and value < 0:
        errors.invalid(path, value, NOT_NEGATIVE)


def check_at_most_all(value: Any, path: FieldPath, errors: FieldErrors) -> None:
    """No more than 100% (As IsNotMoreThan100Percent)."""
    if (_percent(value) or 0) > 100:
        errors.invalid(path, value, "must not be greater than 100%")


def is_zero(value: Any) -> bool:
    return value in (0, None) or _percent(value) == 0


def check_rolling(rolling: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """Both numbers are fine by themselves, and nothing unavailable is over 100%."""
    for field in ("maxUnavailable", "maxSurge"):
        if rolling.get(field) is not None:
            check_int_or_percent(rolling[field], path.child(field), errors)
    check_at_most_all(rolling.get("maxUnavailable"), path.child("maxUnavailable"), errors)


def both_zero(rolling: Obj) -> bool:
    return is_zero(rolling.get("maxUnavailable")) and is_zero(rolling.get("maxSurge"))


def both_positive(rolling: Obj) -> bool:
    return not is_zero(rolling.get("maxUnavailable")) and not is_zero(rolling.get("maxSurge"))
