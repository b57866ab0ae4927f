"""JSON bodies to Python values, with bounds.

Malformed, too deep or too bloated input is a BadRequest, never a traceback. Which fields came
twice is told beside the value, because fieldValidation wants to know; the last one wins, as in
Go. YAML is read in decode_yaml.py, protobuf in protobuf.py.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from edgek.api.errors import BadRequest


def decode_json(raw: bytes, *, strict_duplicates: bool = True) -> tuple[Any, list[str]]:
    """The value and, when asked, the paths of fields that came more than once.

    The value is encoded once more: a compact body of the same length has no duplicate (the
    slower look is only for others), and orjson refuses to write what nests deeper than 254,
    which bounds the depth for everyone downstream.
    """
    try:
        value = orjson.loads(raw)
        written = orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError) as err:
        raise BadRequest(f"couldn't get version/kind; json parse error: {err}") from None
    if not strict_duplicates or len(written) == len(raw.rstrip()):
        return value, []
    return value, _duplicates(raw)


class _Twice(dict[str, Any]):
    """An object that named ``keys`` more than once."""

    keys_twice: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) == len(pairs):
        return out
    marked = _Twice(out)
    seen: set[str] = set()
    marked.keys_twice = [k for k, _ in pairs if k in seen or seen.add(k)]  # type: ignore[func-returns-value]
    return marked


def _duplicates(raw: bytes) -> list[str]:
    import json

    try:
        return list(dict.fromkeys(_paths(json.loads(raw, object_pairs_hook=_object), "")))
    except (ValueError, RecursionError) as err:
        raise BadRequest(f"couldn't get version/kind; json parse error: {err}") from None


def _paths(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key in getattr(value, "keys_twice", ()):
            yield f"{where}.{key}" if where else key
        for key, inner in value.items():
            yield from _paths(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, f"{where}[{index}]")
