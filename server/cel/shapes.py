"""What a schema says of an expression that the compiler cannot know.

The compiler is told scalar types only; objects are ``dyn`` to it. This walk follows ``self.a.b``
through the schema instead: a field that is not there is refused ("undefined field"), an escaped
name is turned back, and reading a timestamp, a duration, bytes or a number gives where JSON's
value must be converted first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgek.schema.schema import Schema
from server.cel.convert import from_base64, to_double, to_duration, to_timestamp
from server.cel.escaping import unescape
from server.cel.listtypes import has_list_type
from server.cel.results import (
    ANY,
    BOOL,
    CEL_TYPES,
    INT,
    OPTIONAL,
    STRING,
    cel_type,
    inside,
    of_constant,
    optional_of,
    result_of,
)
from server.cel.signatures import problem
from server.cel.syntax import (
    Call,
    Const,
    Fold,
    Ident,
    ListOf,
    MapOf,
    Node,
    Select,
    is_binding,
)
from server.cel.values import Optional

CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "time": to_timestamp,
    "micro-time": to_timestamp,
    "date": to_timestamp,
    "duration": to_duration,
    "double": to_double,
    "bytes": from_base64,
}
_BOOLEAN = frozenset(("_&&_", "_||_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "!_"))
_TYPED = frozenset(("_==_", "_!=_", "@in", "_+_"))


def conversion(schema: Schema) -> Callable[[Any], Any] | None:
    """From JSON's value to CEL's, also of the items of a list or map; None where they agree."""
    if schema.type not in ("list", "map", OPTIONAL) or schema.items is None:
        return CONVERSIONS.get(schema.type)
    if schema.type == OPTIONAL:
        return _within(conversion(schema.items))
    each = CONVERSIONS.get(schema.items.type)
    if each is None:
        return None

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [each(item) for item in value]
        if isinstance(value, dict):
            return {key: each(item) for key, item in value.items()}
        return value

    return convert


def _within(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if convert is None:
        return None

    def held(value: Any) -> Any:
        if type(value) is Optional:
            return Optional(convert(value.value), True) if value.present else value
        return convert(value)

    return held


@dataclass(kw_only=True)
class Shapes:
    """The result of one walk: problems by node id, conversions, real field names.

    ``known`` has every node that was walked: each once, or nested macros would take exponential
    time. ``typed``: calls that treat lists as the sets or maps which this schema says they are.
    """

    problems: list[tuple[int, str]] = field(default_factory=list)
    conversions: dict[int, Callable[[Any], Any]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    known: dict[int, Schema] = field(default_factory=dict)
    typed: dict[int, Schema] = field(default_factory=dict)

    def walk(self, node: Node, scope: Mapping[str, Schema]) -> Schema:
        """The schema of the node's value; ANY where nothing is known."""
        found = self.known[node.id] = self._walk(node, scope)
        return found

    def _walk(self, node: Node, scope: Mapping[str, Schema]) -> Schema:
        match node:
            case Const():
                return of_constant(node.value)
            case Ident():
                return self._read(node, scope.get(node.name, ANY))
            case Select():
                return self._select(node, scope)
            case Call():
                return self._call(node, scope)
            case Fold():
                return self._fold(node, scope)
            case ListOf():
                return Schema(type="list", items=self._common(node.elements, scope))
            case MapOf():
                return self._map(node, scope)
        return ANY

    def _common(self, nodes: Iterable[Node], scope: Mapping[str, Schema]) -> Schema:
        """What the items of a literal have in common."""
        items = [self.walk(node, scope) for node in nodes]
        if not items or any(i.type != items[0].type for i in items):
            return ANY
        return items[0] if len(items) == 1 or items[0].type in CEL_TYPES else ANY

    def _map(self, node: MapOf, scope: Mapping[str, Schema]) -> Schema:
        values = self._common([entry.value for entry in node.entries], scope)
        keys = [entry.key for entry in node.entries]
        types = [self.walk(key, scope).type for key in keys if isinstance(key, Node)]
        if node.name or not types or set(types) != {"string"}:
            return ANY
        return Schema(type="map", items=values)

    def _read(self, node: Node, schema: Schema) -> Schema:
        convert = conversion(schema)
        if convert is not None:
            self.conversions[node.id] = convert
        return schema

    def _select(self, node: Select, scope: Mapping[str, Schema]) -> Schema:
        operand = self.walk(node.operand, scope)
        found = self._field(node, node.field, inside(operand))
        if node.test:
            return BOOL
        return self._read(node, optional_of(found) if operand.type == OPTIONAL else found)

    def _field(self, node: Node, name: str, of: Schema) -> Schema:
        if of.type == "map":
            return of.items or ANY
        if of.type in CEL_TYPES or of.type == "list":
            text = cel_type(of).replace("<", "(").replace(">", ")")
            self.problems.append((node.id, f"type '{text}' does not support field selection"))
        if of.type != "object":
            return ANY
        real = unescape(name)
        self.names[node.id] = real
        if real in of.fields:
            return of.fields[real]
        if not of.preserve_unknown:
            self.problems.append((node.id, f"undefined field '{name}'"))
        return ANY

    def _call(self, node: Call, scope: Mapping[str, Schema]) -> Schema:
        if node.function == "_?._":
            operand = inside(self.walk(node.args[0], scope))
            found = self._field(node, getattr(node.args[1], "value", ""), operand)
            return self._read(node, optional_of(found))
        args = [self.walk(a, scope) for a in node.args]
        if node.function == "_[_]":
            found = inside(args[0]).items or ANY
            return self._read(node, optional_of(found) if args[0].type == OPTIONAL else found)
        wrong = problem(node.function, [cel_type(a) for a in args], member=node.member)
        if wrong is not None:
            self.problems.append((node.id, wrong))
            return ANY
        if node.function in _TYPED:
            self._note_type(node, args)
        if node.function in _BOOLEAN:
            return BOOL
        found = result_of(node.function, args)
        return self._read(node, found) if node.function == "_[?_]" else found

    def _note_type(self, node: Call, args: Sequence[Schema]) -> None:
        decides = (args[1].items or ANY) if node.function == "@in" else args[0]
        if has_list_type(decides) and (node.function != "_+_" or decides.type == "list"):
            self.typed[node.id] = decides

    def _fold(self, node: Fold, scope: Mapping[str, Schema]) -> Schema:
        over = self.walk(node.range, scope)
        if over.type in CEL_TYPES:
            text = (
                f"expression of type '{cel_type(over)}' cannot be range of a comprehension "
                "(must be list, map, or dynamic)"
            )
            self.problems.append((node.range.id, text))
        init = self.walk(node.init, scope)
        items, key = over.items or ANY, STRING if over.type == "map" else INT
        names = {node.iter_var: items if over.type == "list" else key if over.items else ANY}
        if node.iter_var2:
            names = {node.iter_var: key if over.items else ANY, node.iter_var2: items}
        bound = init if is_binding(node) else ANY
        inner = {**scope, **names, node.accu_var: bound}
        if bound is ANY:
            inner[node.accu_var] = self._accumulated(node, inner)
        self.walk(node.condition, inner)
        return self.walk(node.result, inner)

    def _accumulated(self, node: Fold, scope: Mapping[str, Schema]) -> Schema:
        step = self.walk(node.step, scope)
        if step.type != "any" or not isinstance(node.step, Call):
            return step
        if isinstance(node.init, ListOf) and node.step.function in ("_+_", "_?_:_"):
            added = node.step if node.step.function == "_+_" else node.step.args[1]
            if isinstance(added, Call) and len(added.args) == 2:
                return self.known.get(added.args[1].id, ANY)
        return ANY
