"""Table columns that a CustomResourceDefinition asks for, as pkg/registry/customresource/
tableconvertor prints them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from edgek.api.jsonpath import BadPath, find, parse
from edgek.api.meta import Obj
from edgek.api.time import parse_time
from edgek.kinds.kind import AGE, NAME, Ago, Column

Cell = Callable[[Any], Any]


def columns_of(said: Iterable[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Name, then what is asked for; with nothing asked for, or with a path that is none, Age."""
    try:
        found = tuple(_column(s) for s in said)
    except BadPath:
        return NAME, AGE
    return (NAME, *found) if found else (NAME, AGE)


def _column(said: Mapping[str, Any]) -> Column:
    path, kind = said.get("jsonPath") or "", said.get("type") or "string"
    parse(path)
    cell = _CELLS.get(kind, _text)

    def read(obj: Obj) -> Any:
        found = find(path, obj)
        return cell(found[0]) if found else None

    return Column(
        name=said.get("name") or "",
        read=read,
        type="string" if kind == "date" else kind,
        format=said.get("format") or "",
        priority=said.get("priority") or 0,
        description=said.get("description")
        or f"Custom resource definition column (in JSONPath format): {path}",
    )


def _text(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _date(value: Any) -> Any:
    if not isinstance(value, str):
        return None
    try:
        parse_time(value)
    except (ValueError, OverflowError):
        return "<invalid>"
    return Ago(value)


_CELLS: Mapping[str, Cell] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
}
