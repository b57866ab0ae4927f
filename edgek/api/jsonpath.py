"""Kubernetes' JSONPath, as far as printer columns use it: one path, the values it leads to.

``.a.b``, ``['a']``, ``[0]``, ``[-1]``, ``[1:3]``, ``[*]``, ``..a`` and ``[?(@.type=="Ready")]``, as
client-go util/jsonpath. What is not there is no error, only no value. Paths are parsed once.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]
_MAX_VALUES = 1000
"""A path with wildcards cannot make one cell cost more than this."""

_FIELD = re.compile(r"(?:\\.|[^.\[\]\\ ])+")
_INDEX = re.compile(r"-?\d+$")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(\d+))?$")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")


class BadPath(ValueError):
    """No JSONPath; the text says why."""


def find(path: str, value: Any) -> list[Any]:
    """The values at ``path``, in order. Raises BadPath."""
    found = [value]
    for step in parse(path):
        found = [inner for outer in found for inner in step(outer)][:_MAX_VALUES]
    return found


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    at, text = 0, path.strip()
    while at < len(text):
        at = _parse_one(text, at, steps)
    return tuple(steps)


def _parse_one(text: str, at: int, steps: list[Step]) -> int:
    if text[at] == "[":
        end = _closing(text, at)
        steps.append(_bracket(text[at + 1 : end]))
        return end + 1
    if text.startswith("..", at):
        steps.append(_everything_below)
        at += 1
        if at + 1 < len(text) and text[at + 1] == "[":
            return at + 1
    if text[at] in "$@" and at == 0:
        return at + 1
    at += text[at] == "."
    if at == len(text) or text[at] == "[":
        return at
    found = _FIELD.match(text, at)
    if found is None:
        raise BadPath(f"unrecognized character in path: {text[at]!r}")
    name = re.sub(r"\\(.)", r"\1", found.group())
    steps.append(_each if name == "*" else _field(name))
    return found.end()


def _closing(text: str, at: int) -> int:
    quote, depth = "", 0
    for index in range(at, len(text)):
        char = text[index]
        if quote:
            quote = "" if char == quote and text[index - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char == "[") - (char == "]")
            if not depth:
                return index
    raise BadPath("unterminated array")


def _bracket(inner: str) -> Step:
    inner = inner.strip()
    if inner == "*":
        return _each
    if inner[:1] in ("'", '"') and len(inner) > 1 and inner[-1] == inner[0]:
        return _field(_unquoted(inner))
    if _INDEX.match(inner):
        return _item(int(inner))
    if found := _SLICE.match(inner):
        start, end, step = (int(g) if g else None for g in found.groups())
        return _slice(slice(start, end, step or None))
    if inner.startswith("?(") and inner.endswith(")"):
        left, *right = _OPERATOR.split(inner[2:-1], maxsplit=1)
        operator = _OPERATOR.search(inner)
        return _filter(left.strip(), operator.group() if operator else None, "".join(right).strip())
    raise BadPath(f"invalid array index {inner}")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _item(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _slice(part: slice) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[part]

    return step


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _everything_below(value: Any) -> Iterator[Any]:
    stack, told = [value], 0
    while stack and told < _MAX_VALUES:
        one = stack.pop()
        told += 1
        yield one
        stack += reversed(list(_each(one)))


def _filter(left: str, operator: str | None, right: str) -> Step:
    one = _operand(left)
    other = _operand(right)

    def keeps(item: Any) -> bool:
        found = one(item)
        if operator is None:
            return bool(found)
        wanted = other(item)
        return bool(found) and bool(wanted) and _compares(found[0], operator, wanted[0])

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list | dict):
            yield from (item for item in _each(value) if keeps(item))

    return step


def _operand(text: str) -> Callable[[Any], list[Any]]:
    if text[:1] in ("'", '"'):
        literal: Any = _unquoted(text)
    elif text.startswith("@"):
        path = text[1:]
        parse(path)
        return lambda item: find(path, item)
    elif text in ("true", "false"):
        literal = text == "true"
    else:
        try:
            literal = float(text) if text else None
        except ValueError:
            raise BadPath(f"unrecognized character in path: {text}") from None
    return lambda item: [literal]


def _compares(one: Any, operator: str, other: Any) -> bool:
    try:
        match operator:
            case "==":
                return bool(one == other)
            case "!=":
                return bool(one != other)
            case "<":
                return bool(one < other)
            case "<=":
                return bool(one <= other)
            case ">":
                return bool(one > other)
        return bool(one >= other)
    except TypeError:
        return False
