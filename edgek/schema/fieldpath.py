"""Path elements of FieldsV1: how a field, a list item or a value is named in a set of fields.

``f:name`` is a field, ``k:{"name":"x"}`` the item of a list with keys, ``v:"x"`` the item of a
set, ``i:0`` an item by index. Their text must be the same bytes that Go writes, because it is
compared as text. As structured-merge-diff fieldpath/serialize-pe.go and element.go.
"""

from collections.abc import Mapping
from typing import Any

import orjson

Path = tuple[str, ...]
_KINDS = "fkvi"
_MAX_DEPTH = 128


def value_element(value: Any) -> str:
    return "v:" + _go_json(value)


def key_element(keys: Mapping[str, Any]) -> str:
    """Of a list item with these key fields."""
    inner = ",".join(f"{_go_json(name)}:{_go_json(keys[name])}" for name in sorted(keys))
    return "k:{" + inner + "}"


def _go_json(value: Any) -> str:
    """As Go's encoder: compact, and what HTML would take for markup escaped."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if "&" in text or "<" in text or ">" in text:
        for char in "&<>":
            text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def order(element: str) -> tuple[int, Any]:
    """Sorts path elements as upstream: fields, keys, values, indices."""
    rank = _KINDS.find(element[0])
    return rank, int(element[2:]) if rank == 3 else element[2:]


def path_text(path: Path) -> str:
    """``.spec.containers[name="x"].image``"""
    return "".join(_text(element) for element in path)


def _text(element: str) -> str:
    rest = element[2:]
    if element[0] == "f":
        return "." + rest
    if element[0] == "v":
        return f"[={_shown(orjson.loads(rest))}]"
    if element[0] == "k":
        keys = orjson.loads(rest)
        return "[" + ",".join(f"{name}={_shown(keys[name])}" for name in sorted(keys)) + "]"
    return f"[{rest}]"


def _shown(value: Any) -> str:
    """As value.ToString: texts quoted, the rest as JSON."""
    return orjson.dumps(value).decode()


def normalized(fields: Any, depth: int = 0) -> dict[str, Any]:
    """FieldsV1 from outside as we write it ourselves. Raises ValueError where it is no set.

    Kinds of elements that nobody knows are dropped, as upstream does for those of the future.
    """
    if not isinstance(fields, dict):
        raise ValueError("a set of fields is an object")
    if depth > _MAX_DEPTH:
        raise ValueError("a set of fields is nested too deeply")
    out: dict[str, Any] = {}
    for key, inner in fields.items():
        if key == ".":
            out["."] = {}
        elif (element := _element(key)) is not None:
            out[element] = normalized(inner, depth + 1)
    return {} if depth and out.keys() == {"."} else out


def _element(text: str) -> str | None:
    if len(text) < 2:
        raise ValueError("key must be 2 characters long")
    if text[1] != ":":
        raise ValueError(f"missing colon: {text}")
    kind, rest = text[0], text[2:]
    if kind == "k":
        keys = orjson.loads(rest)
        if not isinstance(keys, dict):
            raise ValueError(f"the keys of a list item are an object: {text}")
        return key_element(keys)
    if kind == "v":
        return value_element(orjson.loads(rest))
    if kind == "i":
        return f"i:{int(rest)}"
    return text if kind == "f" else None
