"""Walks over a syntax tree that look for names: which are free, which nobody has declared."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from server.cel.convert import to_duration, to_timestamp
from server.cel.errors import CelError
from server.cel.library.regex import engine
from server.cel.syntax import Call, Const, Fold, Ident, ListOf, MapOf, Node, Select, Tree
from server.cel.values import TYPES

_SYNTAX = frozenset(
    ("_&&_", "_||_", "_?_:_", "@not_strictly_false", "or", "orValue", "_[_]", "_?._")
)


def free_variables(root: Node) -> frozenset[str]:
    """The variables an expression reads that none of its own macros binds."""
    return frozenset(_free(root, frozenset()))


def _children(node: Node) -> Iterator[Node]:
    match node:
        case Select():
            yield node.operand
        case Call():
            yield from node.args
        case ListOf():
            yield from node.elements
        case MapOf():
            for entry in node.entries:
                if isinstance(entry.key, Node):
                    yield entry.key
                yield entry.value


def _free(node: Node, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(node, Ident):
        if node.name not in bound:
            yield node.name
    elif isinstance(node, Fold):
        yield from _free(node.range, bound)
        yield from _free(node.init, bound)
        inner = bound | {node.iter_var, node.iter_var2, node.accu_var}
        for part in (node.condition, node.step, node.result):
            yield from _free(part, inner)
    else:
        for child in _children(node):
            yield from _free(child, bound)


def undeclared(
    root: Node, variables: Collection[str], functions: Collection[str]
) -> Iterator[tuple[int, str]]:
    """Names that nobody has declared, where the compiler was told not to look."""
    known = {*variables, *TYPES} | {name.partition(".")[0] for name in functions}
    wanted = {name for name in _free(root, frozenset()) if name not in known}
    for node in _all(root):
        if isinstance(node, Ident) and node.name in wanted:
            yield node.id, f"undeclared reference to '{node.name}' (in container '')"
        if isinstance(node, Call) and not _implemented(node, functions):
            yield node.id, f"undeclared reference to '{node.function}' (in container '')"


def _implemented(node: Call, functions: Collection[str]) -> bool:
    known = node.function in functions or node.function in _SYNTAX
    space = node.args[0].name + "." if node.member and isinstance(node.args[0], Ident) else ""
    return known or f"{space}{node.function}" in functions


def _all(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Fold):
        for part in (node.range, node.init, node.condition, node.step, node.result):
            yield from _all(part)
    for child in _children(node):
        yield from _all(child)


_LITERALS: Mapping[str, Callable[[str], Any]] = {
    "matches": engine,
    "duration": to_duration,
    "timestamp": to_timestamp,
}


def bad_literals(root: Node) -> Iterator[tuple[int, str]]:
    """Patterns, durations and timestamps that are written out and wrong (cel-go's AST
    validators)."""
    for node in _all(root):
        if not isinstance(node, Call) or node.function not in _LITERALS or not node.args:
            continue
        last = node.args[-1]
        if isinstance(last, Const) and type(last.value) is str:
            try:
                _LITERALS[node.function](last.value)
            except CelError:
                yield last.id, f"invalid {node.function} argument"


def located(text: str, tree: Tree, ident: int, problem: str) -> str:
    """As cel-go shows an error: line, column, and a pointer below the line."""
    at = max(tree.positions.get(ident, 0), 0)
    before = text[:at].split("\n")
    line = text.split("\n")[len(before) - 1]
    column = len(before[-1])
    where = f"{len(before)}:{column + 1}"
    return f"ERROR: <input>:{where}: {problem}\n | {line}\n | {'.' * column}^"
