"""What ConfigMap and Secret share: keys, size and immutability of their data."""

from collections.abc import Iterable, Mapping
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import CONFIG_MAP_KEY, FieldErrors, FieldPath

MAX_BYTES = 1024 * 1024
_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def is_config_map_key(key: str) -> list[str]:
    out = []
    if len(key) > 253:
        out.append("must be no more than 253 bytes")
    if not CONFIG_MAP_KEY.fullmatch(key):
        out.append(_KEY_MESSAGE)
    elif key in (".", ".."):
        out.append(f"must not be '{key}'")
    elif key.startswith(".."):
        out.append("must not start with '..'")
    return out


def check_keys(data: Mapping[str, Any], path: FieldPath, errors: FieldErrors) -> None:
    for key in data:
        for problem in is_config_map_key(key):
            errors.invalid(path.key(key), key, problem)


def check_size(
    size: int, encoded: Mapping[str, str], errors: FieldErrors, *, path: str = "[]"
) -> None:
    """``size`` bytes of text and the base64 values of ``encoded`` are at most one MiB.

    ``[]`` is how upstream's message names the whole object.
    """
    total = size + sum(len(v or "") * 3 // 4 - (v or "")[-2:].count("=") for v in encoded.values())
    if total > MAX_BYTES:
        errors.too_long(FieldPath(path), MAX_BYTES)


def validate_immutable(new: Obj, old: Obj, fields: Iterable[str], errors: FieldErrors) -> None:
    """Once ``immutable`` is true, neither it nor the data changes again."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        errors.forbidden(FieldPath("immutable"), "field is immutable when `immutable` is set")
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            errors.forbidden(FieldPath(field), "field is immutable when `immutable` is set")
