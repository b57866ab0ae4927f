"""What is wrong with an applied configuration as a typed value, in upstream's sentences.

Stricter than the check of other bodies: a field that the schema does not know cannot be owned,
so it is an error whatever fieldValidation says. As structured-merge-diff typed/validate.go.
"""

from typing import Any

import orjson

from edgek.schema.fieldpath import key_element, path_text, value_element
from edgek.schema.schema import Schema
from edgek.schema.shape import keys_of

_NUMBERS = ("int32", "int64", "double")
_TEXTS = ("string", "bytes")
MAX_PROBLEMS = 50


def typed_problems(value: Any, schema: Schema) -> list[str]:
    """``.spec.foo: field not declared in schema``..."""
    out: list[str] = []
    _walk(value, schema, "", out)
    return out[:MAX_PROBLEMS]


def told(problems: list[str]) -> str:
    """As ValidationErrors.Error."""
    return problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])


def _walk(value: Any, schema: Schema, path: str, out: list[str]) -> None:
    kind = schema.type
    if value is None or kind == "any" or len(out) >= MAX_PROBLEMS:
        return
    if kind in ("object", "map"):
        if isinstance(value, dict):
            _walk_map(value, schema, path, out)
        else:
            out.append(f"{path}: expected map, got {_got(value)}")
    elif kind == "list":
        if isinstance(value, list):
            _walk_list(value, schema, path, out)
        else:
            out.append(f"{path}: expected list, got {_got(value)}")
    elif (wanted := _scalar_problem(value, kind)) is not None:
        out.append(f"{path}: expected {wanted}, got {_got(value)}")


def _scalar_problem(value: Any, kind: str) -> str | None:
    if kind in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        return "numeric (int or float)"
    if kind in _TEXTS and not isinstance(value, str):
        return "string"
    if kind == "boolean" and not isinstance(value, bool):
        return "boolean"
    return None


def _walk_map(value: dict[str, Any], schema: Schema, path: str, out: list[str]) -> None:
    for name, inner in value.items():
        below = schema.fields.get(name) if schema.type == "object" else schema.items
        if below is not None:
            _walk(inner, below, f"{path}.{name}", out)
        elif not schema.preserve_unknown:
            out.append(f"{path}.{name}: field not declared in schema")


def _walk_list(value: list[Any], schema: Schema, path: str, out: list[str]) -> None:
    assert schema.items is not None
    seen: set[str] = set()
    for index, item in enumerate(value):
        where = f"[{index}]"
        if schema.list_type in ("map", "set"):
            if why := _item_problem(item, schema):
                out.append(f"{path}: element {index}: {why}")
                continue
            where = _place(item, schema)
            if where in seen:
                out.append(f"{path}: duplicate entries for key {where}")
            seen.add(where)
        _walk(item, schema.items, path + where, out)


def _place(item: Any, schema: Schema) -> str:
    if schema.list_type == "set":
        return path_text((value_element(item),))
    return path_text((key_element(keys_of(schema, item)),))


def _item_problem(item: Any, schema: Schema) -> str:
    if schema.list_type == "set":
        if item is None:
            return "associative list without keys has an element that's an explicit null"
        if isinstance(item, dict | list):
            kind = "a map" if isinstance(item, dict) else "a list"
            return f"associative list without keys has an element that's {kind} type"
        return ""
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    keys = keys_of(schema, item)
    missing = [name for name in schema.list_map_keys if name not in keys]
    if missing and not keys:
        return (
            f'associative list with keys has an element that omits key field "{missing[0]}" '
            "(and doesn't have default value)"
        )
    return ""


def _got(value: Any) -> str:
    """As Go prints the value's own type."""
    return f"&value.valueUnstructured{{Value:{orjson.dumps(value).decode()[:200]}}}"
