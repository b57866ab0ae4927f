"""The syntax tree, read from what the CEL compiler serializes (google/cel-spec
proto/cel/expr/checked.proto and syntax.proto).

Macros (all, exists, map, has...) are expanded already: what is left are the nodes below. Depth is
bounded by the parser's own recursion limit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import unpack
from typing import Any

from edgek.schema.wire import read_fields, signed
from server.cel.values import Uint

Fields = Mapping[int, list[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    id: int


@dataclass(frozen=True, slots=True, eq=False)
class Const(Node):
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Ident(Node):
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Select(Node):
    """``operand.field``; with ``test`` it is has(operand.field)."""

    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    """The target of a member call is the first argument; ``member`` remembers it."""

    function: str
    args: tuple[Node, ...]
    member: bool


@dataclass(frozen=True, slots=True, eq=False)
class ListOf(Node):
    elements: tuple[Node, ...]
    optional: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    key: Node | str
    value: Node
    optional: bool


@dataclass(frozen=True, slots=True, eq=False)
class MapOf(Node):
    """A map literal, or an object ``name{...}`` whose keys are field names."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fold(Node):
    """What every macro over a list or map is expanded to."""

    iter_var: str
    iter_var2: str
    range: Node
    accu_var: str
    init: Node
    condition: Node
    step: Node
    result: Node


ACCUMULATORS = ("@result", "__result__")


def is_binding(node: Fold) -> bool:
    """A comprehension over nothing that gives a value a name: optMap, cel.bind."""
    condition = node.condition
    return (
        isinstance(node.range, ListOf)
        and not node.range.elements
        and isinstance(condition, Const)
        and condition.value is False
        and node.accu_var not in ACCUMULATORS
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """``positions``: where in the text a node's operator stands."""

    root: Node
    positions: Mapping[int, int] = field(default_factory=dict)


def read_tree(serialized: bytes) -> Tree:
    """From the Any around a ParsedExpr or CheckedExpr."""
    wrapper = _fields(serialized)
    checked = wrapper[1][0].endswith(b"CheckedExpr")
    message = _fields(wrapper[2][0])
    expr, info = (4, 5) if checked else (2, 3)
    return Tree(_node(message[expr][0]), _positions(message.get(info, [b""])[0]))


def _fields(data: bytes) -> dict[int, list[Any]]:
    out: dict[int, list[Any]] = {}
    for number, _, value in read_fields(data):
        out.setdefault(number, []).append(value)
    return out


def _text(fields: Fields, number: int) -> str:
    return str(fields[number][0], "utf-8") if number in fields else ""


def _positions(info: bytes) -> dict[int, int]:
    pairs = (_fields(entry) for entry in _fields(info).get(4, ()))
    return {p.get(1, [0])[0]: signed(p.get(2, [0])[0]) for p in pairs}


def _node(data: bytes) -> Node:
    fields = _fields(data)
    ident = fields.get(2, [0])[0]
    for number, build in _BUILDERS.items():
        if number in fields:
            return build(ident, _fields(fields[number][0]))
    return Const(ident, None)


def _const(ident: int, fields: Fields) -> Node:
    for number, value in fields.items():
        return Const(ident, _CONSTANTS[number](value[0]))
    return Const(ident, None)


_CONSTANTS: Mapping[int, Callable[[Any], Any]] = {
    1: lambda _: None,
    2: bool,
    3: signed,
    4: Uint,
    5: lambda raw: unpack("<d", raw)[0],
    6: lambda raw: str(raw, "utf-8"),
    7: bytes,
}


def _ident(ident: int, fields: Fields) -> Node:
    return Ident(ident, _text(fields, 1))


def _select(ident: int, fields: Fields) -> Node:
    return Select(ident, _node(fields[1][0]), _text(fields, 2), 3 in fields)


def _call(ident: int, fields: Fields) -> Node:
    name, args = _text(fields, 2), tuple(_node(a) for a in fields.get(3, ()))
    if 1 not in fields:
        return Call(ident, name, args, False)
    return Call(ident, name, (_node(fields[1][0]), *args), True)


def _list(ident: int, fields: Fields) -> Node:
    packed = fields.get(2, ())
    optional = {i for raw in packed for i in (raw if isinstance(raw, bytes) else (raw,))}
    return ListOf(ident, tuple(_node(e) for e in fields.get(1, ())), frozenset(optional))


def _struct(ident: int, fields: Fields) -> Node:
    return MapOf(ident, _text(fields, 1), tuple(_entry(e) for e in fields.get(2, ())))


def _entry(data: bytes) -> Entry:
    fields = _fields(data)
    key = _node(fields[3][0]) if 3 in fields else _text(fields, 2)
    return Entry(key, _node(fields[4][0]), 5 in fields)


def _fold(ident: int, fields: Fields) -> Node:
    return Fold(
        ident,
        iter_var=_text(fields, 1),
        iter_var2=_text(fields, 8),
        range=_node(fields[2][0]),
        accu_var=_text(fields, 3),
        init=_node(fields[4][0]),
        condition=_node(fields[5][0]),
        step=_node(fields[6][0]),
        result=_node(fields[7][0]),
    )


_BUILDERS: Mapping[int, Callable[[int, Fields], Node]] = {
    3: _const,
    4: _ident,
    5: _select,
    6: _call,
    7: _list,
    8: _struct,
    9: _fold,
}
