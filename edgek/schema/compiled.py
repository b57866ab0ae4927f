"""The fast pass of checking: a schema compiled into closures that say whether a value is clean.

Clean means that typed decoding would keep every byte of it: types fit, nothing unknown, no null,
quantities and times already canonical. No paths and no messages here; the slow pass in check.py
finds those when the answer is no.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from edgek.schema.scalars import CONVERT, INT32, INT64, BadValue, Mismatch
from edgek.schema.schema import Schema

Clean = Callable[[Any], bool]

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def compile_clean(schema: Schema) -> Clean:
    return _Compiler().clean(schema)


def _string(value: Any) -> bool:
    return type(value) is str


def _boolean(value: Any) -> bool:
    return value is True or value is False


def _int32(value: Any) -> bool:
    return type(value) is int and -INT32 <= value < INT32


def _int64(value: Any) -> bool:
    return type(value) is int and -INT64 <= value < INT64


def _double(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _int_or_string(value: Any) -> bool:
    return type(value) is str or _int32(value)


def _any(value: Any) -> bool:
    return True


@lru_cache(maxsize=2048)
def _same(kind: str, value: str) -> bool:
    """Whether converting changes nothing; real clusters repeat a few hundred of these."""
    try:
        return bool(CONVERT[kind](value) == value)
    except (Mismatch, BadValue):
        return False


def _canonical(kind: str) -> Clean:
    def clean(value: Any) -> bool:
        return type(value) is str and len(value) <= 64 and _same(kind, value)

    return clean


def _bytes(value: Any) -> bool:
    return type(value) is str and _BASE64.fullmatch(value) is not None and _same_tail(value)


def _same_tail(value: str) -> bool:
    """The last group's spare bits must be zero, or encoding again would change it."""
    return _same("bytes", value[-4:]) if value.endswith("=") else True


_SCALARS: dict[str, Clean] = {
    "string": _string,
    "boolean": _boolean,
    "int32": _int32,
    "int64": _int64,
    "double": _double,
    "int-or-string": _int_or_string,
    "quantity": _canonical("quantity"),
    "time": _canonical("time"),
    "micro-time": _canonical("micro-time"),
    "bytes": _bytes,
    "any": _any,
}


class _Compiler:
    """One compilation. Objects are compiled when first met in a body, so that a schema with
    cycles ends and rare branches cost nothing."""

    def __init__(self) -> None:
        self._objects: dict[int, tuple[Schema, Clean]] = {}

    def clean(self, schema: Schema) -> Clean:
        if schema.type == "object":
            return self._object(schema)
        if schema.items is None:
            return _SCALARS[schema.type]
        return self._list(schema.items) if schema.type == "list" else self._map(schema.items)

    def _object(self, schema: Schema) -> Clean:
        # Uses of one named type share its fields: annotations do not matter here.
        known = self._objects.get(id(schema.fields))
        if known is not None:
            return known[1]
        table: dict[str, Clean] = {}
        fields, open_ended = schema.fields, schema.preserve_unknown

        def clean(value: Any) -> bool:
            if type(value) is not dict:
                return False
            for name, inner in value.items():
                test = table.get(name)
                if test is None:
                    if name not in fields:
                        if open_ended:
                            continue
                        return False
                    test = table[name] = self.clean(fields[name])
                if not test(inner):
                    return False
            return True

        self._objects[id(fields)] = (schema, clean)
        return clean

    def _list(self, items: Schema) -> Clean:
        test = self.clean(items)
        return lambda value: type(value) is list and all(map(test, value))

    def _map(self, items: Schema) -> Clean:
        if items.type == "string":
            return _string_map
        test = self.clean(items)
        return lambda value: type(value) is dict and all(map(test, value.values()))


def _string_map(value: Any) -> bool:
    if type(value) is not dict:
        return False
    return all(type(v) is str for v in value.values())
