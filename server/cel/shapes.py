"""What a schema says of an expression that the compiler cannot know.

The compiler is told scalar types only; objects are ``dyn`` to it. This walk follows ``self.a.b``
through the schema instead: a field that is not there is refused ("undefined field"), an escaped
name is turned back, and reading a timestamp, a duration, bytes or a number gives where JSON's
value must be converted first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgek.schema.schema import Schema
from server.cel.convert import from_base64, to_double, to_duration, to_timestamp
from server.cel.escaping import unescape
from server.cel.signatures import problem, returned
from server.cel.syntax import Call, Const, Fold, Ident, ListOf, MapOf, Node, Select
from server.cel.values import Uint

ANY, BOOL, INT, STRING = (Schema(type=t) for t in ("any", "boolean", "int64", "string"))
CEL_TYPES: Mapping[str, str] = {
    "string": "string",
    "int32": "int",
    "int64": "int",
    "double": "double",
    "boolean": "bool",
    "bytes": "bytes",
    "time": "timestamp",
    "micro-time": "timestamp",
    "date": "timestamp",
    "duration": "duration",
    "uint": "uint",
}
CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "time": to_timestamp,
    "micro-time": to_timestamp,
    "date": to_timestamp,
    "duration": to_duration,
    "double": to_double,
    "bytes": from_base64,
}
_BOOLEAN = frozenset(("_&&_", "_||_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "!_"))
_KNOWN: Mapping[str, Schema] = {
    "bool": BOOL,
    "int": INT,
    "string": STRING,
    "double": Schema(type="double"),
    "timestamp": Schema(type="time"),
    "duration": Schema(type="duration"),
}
_CONSTANTS: Mapping[type, Schema] = {
    bool: BOOL,
    int: INT,
    str: STRING,
    float: _KNOWN["double"],
    Uint: Schema(type="uint"),
}


def cel_type(schema: Schema) -> str:
    """As the compiler is told: ``list<string>``; ``dyn`` for what it cannot check."""
    if schema.type == "list":
        return f"list<{cel_type(schema.items or ANY)}>"
    if schema.type == "map":
        return f"map<string, {cel_type(schema.items or ANY)}>"
    return schema.type if "." in schema.type else CEL_TYPES.get(schema.type, "dyn")


def conversion(schema: Schema) -> Callable[[Any], Any] | None:
    """From JSON's value to CEL's, also of the items of a list or map; None where they agree."""
    if schema.type not in ("list", "map") or schema.items is None:
        return CONVERSIONS.get(schema.type)
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


@dataclass(kw_only=True)
class Shapes:
    """The result of one walk: problems by node id, conversions, real field names."""

    problems: list[tuple[int, str]] = field(default_factory=list)
    conversions: dict[int, Callable[[Any], Any]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    _known: dict[int, Schema] = field(default_factory=dict)
    """Every node that was walked: each once, or nested macros would take exponential time."""

    def walk(self, node: Node, scope: Mapping[str, Schema]) -> Schema:
        """The schema of the node's value; ANY where nothing is known."""
        found = self._known[node.id] = self._walk(node, scope)
        return found

    def _walk(self, node: Node, scope: Mapping[str, Schema]) -> Schema:
        match node:
            case Const():
                return _CONSTANTS.get(type(node.value), ANY)
            case Ident():
                return self._read(node, scope.get(node.name, ANY))
            case Select():
                return self._select(node, scope)
            case Call():
                return self._call(node, scope)
            case Fold():
                return self._fold(node, scope)
            case ListOf():
                items = [self.walk(e, scope) for e in node.elements]
                return Schema(type="list", items=items[0] if len(items) == 1 else ANY)
            case MapOf():
                for entry in node.entries:
                    self.walk(entry.value, scope)
                    if isinstance(entry.key, Node):
                        self.walk(entry.key, scope)
        return ANY

    def _read(self, node: Node, schema: Schema) -> Schema:
        convert = conversion(schema)
        if convert is not None:
            self.conversions[node.id] = convert
        return schema

    def _select(self, node: Select, scope: Mapping[str, Schema]) -> Schema:
        found = self._field(node, node.field, self.walk(node.operand, scope))
        return BOOL if node.test else self._read(node, found)

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
            self._field(node, getattr(node.args[1], "value", ""), self.walk(node.args[0], scope))
            return ANY
        args = [self.walk(a, scope) for a in node.args]
        if node.function == "_[_]":
            return self._read(node, args[0].items or ANY)
        if node.function == "_?_:_":
            return args[1] if args[1].type == args[2].type else ANY
        types = [cel_type(a) for a in args]
        wrong = problem(node.function, types, member=node.member)
        if wrong is not None:
            self.problems.append((node.id, wrong))
            return ANY
        if node.function in _BOOLEAN:
            return BOOL
        if node.function == "_+_":
            return args[0] if args[0].type == args[1].type else ANY
        return _KNOWN.get(returned(node.function, types), ANY)

    def _fold(self, node: Fold, scope: Mapping[str, Schema]) -> Schema:
        over = self.walk(node.range, scope)
        if over.type in CEL_TYPES:
            text = (
                f"expression of type '{cel_type(over)}' cannot be range of a comprehension "
                "(must be list, map, or dynamic)"
            )
            self.problems.append((node.range.id, text))
        items, key = over.items or ANY, STRING if over.type == "map" else INT
        names = {node.iter_var: items if over.type == "list" else key if over.items else ANY}
        if node.iter_var2:
            names = {node.iter_var: key if over.items else ANY, node.iter_var2: items}
        inner = {**scope, **names, node.accu_var: ANY}
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
                return self._known.get(added.args[1].id, ANY)
        return ANY
