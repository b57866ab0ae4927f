"""A custom object against its schema: every problem, in upstream's words.

As kube-openapi pkg/validation/validate and apiextensions-apiserver pkg/apiserver/validation, with
ratcheting: what an update leaves as it was is not held against it, even where the schema has
become stricter meanwhile. Expressions (x-kubernetes-validations) are evaluated elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import orjson

from edgek.api.validation import FieldErrors, FieldPath
from edgek.schema.formats import FORMATS
from edgek.schema.patterns import matches
from edgek.schema.schema import NOTHING
from edgek.schema.structural import Structural

_ROOT = FieldPath()
_MAX_ERRORS = 100
"""So many problems are enough for one answer."""


class StructuralValidator:
    """Collects into ``errors``. ``base`` stands in front of every path, but not in sentences."""

    def __init__(self, errors: FieldErrors, *, base: FieldPath = _ROOT) -> None:
        self._errors = errors
        self._base = base

    def check(self, value: Any, schema: Structural, *, old: Any = NOTHING, where: str = "") -> None:
        """``old`` is what was in this place before, NOTHING where nothing was."""
        if len(self._errors.errors) >= _MAX_ERRORS or (old is not NOTHING and same(value, old)):
            return
        if value is None and schema.nullable:
            return
        if not self._typed(value, schema, where):
            return
        self._junctors(value, schema, where)
        if isinstance(value, str):
            self._text(value, schema, where)
        elif isinstance(value, dict):
            self._object(value, schema, old, where)
        elif isinstance(value, list):
            self._list(value, schema, old, where)
        elif _is_number(value):
            self._number(value, schema, where)
        if schema.enum and not any(same(value, e) for e in schema.enum):
            self._not_in_enum(value, schema, where)

    # Types

    def _typed(self, value: Any, schema: Structural, where: str) -> bool:
        wanted = ("integer", "string") if schema.int_or_string else (schema.type,)
        if wanted == ("",):
            return True
        found = json_type(value)
        if found in wanted or (found == "integer" and "number" in wanted):
            return True
        text = f"{where} in body must be of type {','.join(wanted)}: {_quoted(found)}"
        self._errors.wrong_type(self._at(where), found, text)
        return False

    # Values

    def _text(self, value: str, schema: Structural, where: str) -> None:
        limits = schema.limits
        longest, shortest = limits.get("maxLength"), limits.get("minLength")
        if longest is not None and len(value) > longest:
            self._errors.too_long_characters(self._at(where), longest)
        if shortest is not None and len(value) < shortest:
            self._bad(where, value, f"should be at least {shortest} chars long")
        if schema.pattern and not matches(schema.pattern, value):
            self._bad(where, value, f"should match '{schema.pattern}'")
        test = FORMATS.get(schema.format)
        if test is not None and not test(value):
            text = f"{where} in body must be of type {schema.format}: {_quoted(value)}"
            self._errors.wrong_type(self._at(where), value, text)

    def _number(self, value: float, schema: Structural, where: str) -> None:
        limits = schema.limits
        step = limits.get("multipleOf")
        if step and Fraction(str(value)) % Fraction(str(step)) != 0:
            self._bad(where, value, f"should be a multiple of {step}")
        most, least = limits.get("maximum"), limits.get("minimum")
        if most is not None and (value >= most if "exclusiveMaximum" in limits else value > most):
            word = "less than" if "exclusiveMaximum" in limits else "less than or equal to"
            self._bad(where, value, f"should be {word} {go_number(most)}")
        if least is not None and (
            value <= least if "exclusiveMinimum" in limits else value < least
        ):
            word = "greater than" if "exclusiveMinimum" in limits else "greater than or equal to"
            self._bad(where, value, f"should be {word} {go_number(least)}")

    def _not_in_enum(self, value: Any, schema: Structural, where: str) -> None:
        allowed = [e if isinstance(e, str) else orjson.dumps(e).decode() for e in schema.enum]
        self._errors.not_supported(self._at(where), value, allowed)

    # Containers

    def _list(self, value: list[Any], schema: Structural, old: Any, where: str) -> None:
        limits, count = schema.limits, len(value)
        if (least := limits.get("minItems")) is not None and count < least:
            self._bad(where, count, f"should have at least {least} items")
        if (most := limits.get("maxItems")) is not None and count > most:
            self._errors.too_many(self._at(where), count, most)
            return
        if limits.get("uniqueItems") and _repeated(value):
            self._bad(where, "", "shouldn't contain duplicates")
        self._unique_entries(value, schema, where)
        if schema.items is not None:
            find = correlator(schema, old)
            for index, item in enumerate(value):
                was = find(index, item)
                self.check(item, schema.items, old=was, where=f"{where}[{index}]")

    def _unique_entries(self, value: list[Any], schema: Structural, where: str) -> None:
        """As pkg/apiserver/schema/listtype: sets hold nothing twice, maps no key."""
        if schema.list_type not in ("set", "map"):
            return
        seen: set[str] = set()
        for index, item in enumerate(value):
            shown = item if schema.list_type == "set" else keys_of(item, schema)
            if (text := frozen(shown)) in seen:
                self._errors.duplicate(self._at(f"{where}[{index}]"), shown)
            seen.add(text)

    def _object(self, value: dict[str, Any], schema: Structural, old: Any, where: str) -> None:
        limits, count = schema.limits, len(value)
        if (least := limits.get("minProperties")) is not None and count < least:
            self._bad(where, count, f"should have at least {least} properties")
        if (most := limits.get("maxProperties")) is not None and count > most:
            self._errors.too_many(self._at(where), count, most)
        for name in schema.required:
            if name not in value:
                self._errors.required(self._at(_child(where, name)))
        if schema.embedded:
            self._embedded(value, where)
        before = old if isinstance(old, dict) else {}
        for name, inner in value.items():
            known = schema.properties.get(name) or schema.values
            if known is not None:
                was = before.get(name, NOTHING)
                self.check(inner, known, old=was, where=_child(where, name))
            elif schema.additional is False and name not in schema.properties:
                self._bad(_child(where, name), "", "is a forbidden property")

    def _embedded(self, value: Mapping[str, Any], where: str) -> None:
        """As pkg/apiserver/schema/objectmeta: an embedded resource says what it is."""
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                self._errors.required(self._at(_child(where, name)), "must not be empty")

    # Junctors

    def _junctors(self, value: Any, schema: Structural, where: str) -> None:
        for inner in schema.all_of:
            self.check(value, inner, where=where)
        if schema.any_of and not schema.int_or_string:
            self._any_of(value, schema.any_of, where)
        if schema.one_of:
            self._one_of(value, schema.one_of, where)
        if schema.not_ is not None and not self._problems(value, schema.not_, where):
            self._whole(f'"{where}" must not validate the schema (not)')

    def _any_of(self, value: Any, choices: Iterable[Structural], where: str) -> None:
        tried = [self._problems(value, choice, where) for choice in choices]
        if all(tried):
            self._whole(f'"{where}" must validate at least one schema (anyOf)')
            self._errors.errors += min(tried, key=lambda t: len(t.errors)).errors

    def _one_of(self, value: Any, choices: Iterable[Structural], where: str) -> None:
        tried = [self._problems(value, choice, where) for choice in choices]
        valid = sum(not t for t in tried)
        if valid != 1:
            found = "Found none valid" if not valid else f"Found {valid} valid alternatives"
            self._whole(f'"{where}" must validate one and only one schema (oneOf). {found}')
        if not valid:
            self._errors.errors += min(tried, key=lambda t: len(t.errors)).errors

    def _problems(self, value: Any, schema: Structural, where: str) -> FieldErrors:
        errors = FieldErrors()
        StructuralValidator(errors, base=self._base).check(value, schema, where=where)
        return errors

    # Words

    def _at(self, where: str) -> FieldPath:
        if not self._base.text:
            return FieldPath(where)
        if not where:
            return self._base
        dot = "" if where.startswith("[") else "."
        return FieldPath(f"{self._base.text}{dot}{where}")

    def _bad(self, where: str, value: Any, text: str) -> None:
        self._errors.invalid(self._at(where), value, f"{where} in body {text}")

    def _whole(self, text: str) -> None:
        """A junctor's sentence; upstream's has no field of its own."""
        self._errors.invalid(self._base, "", text)


def json_type(value: Any) -> str:
    """What OpenAPI calls the type of ``value``; a whole number is an integer however written."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    names: dict[type, str] = {str: "string", dict: "object", list: "array", float: "number"}
    return names.get(type(value), "null")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    """As Go compares JSON values: true is not 1."""
    if isinstance(one, bool | int | float | dict | list):
        return bool(one == other) and frozen(one) == frozen(other)
    return type(one) is type(other) and bool(one == other)


def frozen(value: Any) -> str:
    """One text for equal values."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _repeated(value: list[Any]) -> bool:
    return len({frozen(item) for item in value}) < len(value)


def keys_of(item: Any, schema: Structural) -> dict[str, Any]:
    """An item of a map list by its keys; those left out have their default."""
    if not isinstance(item, dict) or schema.items is None:
        return {}
    out = {}
    for key in schema.list_map_keys:
        known = schema.items.properties.get(key)
        default = known.default if known is not None else NOTHING
        if key in item:
            out[key] = item[key]
        elif default is not NOTHING:
            out[key] = default
    return out


def correlator(schema: Structural, old: Any, *, by_key: bool = False) -> Callable[[int, Any], Any]:
    """Given an index and the item there, finds what the item was before. As apiserver
    pkg/cel/common/equality.go: items of maps by their keys, those of lists without a type by
    their index; ``by_key``: the former alone, which is what oldSelf means."""
    if not isinstance(old, list):
        return lambda index, item: NOTHING
    if schema.list_type == "map":
        before = {frozen(keys_of(item, schema)): item for item in old}
        return lambda index, item: before.get(frozen(keys_of(item, schema)), NOTHING)
    if schema.list_type or by_key:
        return lambda index, item: NOTHING
    return lambda index, item: old[index] if index < len(old) else NOTHING


def go_number(value: float) -> str:
    """As Go's %v prints a float64."""
    if float(value).is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _child(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
