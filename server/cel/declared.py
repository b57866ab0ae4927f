"""Declared: how large the values of a schema can become, for estimates of costs.

As apiserver pkg/cel/common/schemas.go SchemaDeclType: what a schema bounds is bounded by that,
everything else by how often its smallest form fits into a request of 3 MiB. Children are read
when first looked at.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from edgek.schema.schema import NOTHING
from edgek.schema.structural import Structural
from server.cel.escaping import escape

MAX_REQUEST = 3 * 1024 * 1024
_WHOLE_TEXT = MAX_REQUEST - 2
_SMALLEST = {"string": 2, "boolean": 4, "number": 1, "integer": 1}
"""Bytes in JSON; true is the shortest boolean."""
_FORMATS = {"duration": (32, 3), "date": (12, 12), "date-time": (32, 21)}
"""By format of a text: the longest it can be, and its smallest size in JSON."""
_PER_CHARACTER = 4
"""maxLength counts characters, which take up to four bytes."""


class Fields(Mapping[str, "Declared"]):
    """An object's fields by their names in expressions; those CEL cannot see are left out."""

    def __init__(self, properties: Mapping[str, Structural]) -> None:
        self._real = {text: name for name in properties if (text := escape(name)) is not None}
        self._properties = properties
        self._built: dict[str, Declared | None] = {}

    def __getitem__(self, name: str) -> "Declared":
        if name not in self._built:
            self._built[name] = declared(self._properties[self._real[name]])
        found = self._built[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


@dataclass(frozen=True, kw_only=True, eq=False)
class Declared:
    """``longest``: characters, items or entries. ``minimum``: bytes in JSON, at least."""

    longest: int = 0
    minimum: int = 2
    fields: Fields | None = None
    keys: "Declared | None" = None
    _items: "Callable[[], Declared | None]" = lambda: None

    @cached_property
    def items(self) -> "Declared | None":
        """Of a list or map."""
        return self._items()

    @property
    def repeated(self) -> int:
        """How often this fits into a request, as MaxCardinality has it: a comma between two."""
        return MAX_REQUEST // (self.minimum + 1)


_STRING = Declared()
_PLAIN = Structural(type="string")
_TYPE, _NAMES = ("apiVersion", "kind"), ("name", "generateName")
_META = Structural(type="object", properties=dict.fromkeys(_NAMES, _PLAIN))
_ROOT = {**dict.fromkeys(_TYPE, _PLAIN), "metadata": _META}


def declared(schema: Structural, *, root: bool = False) -> Declared | None:
    """None for what expressions cannot see. ``root``: of a resource."""
    if schema.int_or_string:
        return Declared(longest=_characters(schema), minimum=1)
    if schema.type == "array":
        return _list(schema)
    if schema.type == "object":
        return _object(schema, root=root or schema.embedded)
    if schema.type == "string":
        return _text(schema)
    smallest = _SMALLEST.get(schema.type)
    return None if smallest is None else Declared(minimum=smallest)


def _list(schema: Structural) -> Declared | None:
    items = declared(schema.items) if schema.items is not None else None
    if items is None:
        return None
    most = schema.limits.get("maxItems")
    fitting = _WHOLE_TEXT // (items.minimum + 1)
    return Declared(longest=fitting if most is None else max(most, 0), _items=lambda: items)


def _object(schema: Structural, *, root: bool) -> Declared | None:
    if schema.values is not None:
        return _map(schema, schema.values)
    properties = schema.properties
    if root and not _says_it_all(properties):
        properties = {**properties, **_ROOT}
    return Declared(fields=Fields(properties), minimum=_smallest(schema, properties))


def _says_it_all(properties: Mapping[str, Structural]) -> bool:
    """As WithTypeAndObjectMeta: what every resource has is declared, then it counts."""
    meta = properties.get("metadata")
    return (
        meta is not None
        and meta.type == "object"
        and all(name in properties and properties[name].type == "string" for name in _TYPE)
        and all(n in meta.properties and meta.properties[n].type == "string" for n in _NAMES)
    )


def _smallest(schema: Structural, properties: Mapping[str, Structural]) -> int:
    """Braces, and every required field that has no default to fill in."""
    total = 2
    for name in schema.required:
        known = properties.get(name)
        found = declared(known) if known is not None and known.default is NOTHING else None
        total += len(name) + found.minimum + 4 if found is not None else 0
    return total


def _map(schema: Structural, values: Structural) -> Declared | None:
    items = declared(values)
    if items is None:
        return None
    most = schema.limits.get("maxProperties")
    fitting = _WHOLE_TEXT // (items.minimum + 6)  # a key of two characters, its colon, a comma
    longest = fitting if most is None else max(most, 0)
    return Declared(longest=longest, keys=_STRING, _items=lambda: items)


def _text(schema: Structural) -> Declared:
    if schema.format in _FORMATS:
        longest, minimum = _FORMATS[schema.format]
        return Declared(longest=longest, minimum=minimum)
    most = schema.limits.get("maxLength")
    if schema.format == "byte" and most is not None:
        return Declared(longest=max(most, 0))
    if most is None and schema.enum and schema.format != "byte":
        texts = [len(e.encode()) for e in schema.enum if isinstance(e, str)]
        return Declared(longest=max(texts, default=0))
    return Declared(longest=_characters(schema))


def _characters(schema: Structural) -> int:
    most = schema.limits.get("maxLength")
    return _WHOLE_TEXT if most is None else max(most, 0) * _PER_CHARACTER
