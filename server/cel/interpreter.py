"""From a syntax tree to nested Python closures that evaluate it.

Compiling once to closures instead of walking the tree at each evaluation makes a typical rule
cost some microseconds. Errors are exceptions (CelError); ``&&``, ``||``, ``?:`` and the
accumulators of comprehensions absorb them where the language says so. Calls of functions are in
server/cel/calls.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgek.schema.schema import Schema
from server.cel.calls import Calls
from server.cel.cost import Meter
from server.cel.errors import CelError, OutOfBudget
from server.cel.listtypes import operator
from server.cel.operators import index, optional_select, select
from server.cel.syntax import Call, Const, Entry, Fold, Ident, ListOf, MapOf, Node, Select
from server.cel.values import TYPES, Failed, Optional, Struct

_MISSING: Any = object()


class Frame:
    """One evaluation: the variables that are in scope, and the meter."""

    __slots__ = ("meter", "variables")

    def __init__(self, variables: dict[str, Any], meter: Meter) -> None:
        self.variables = variables
        self.meter = meter


Step = Callable[[Frame], Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """``conversions``: of JSON values by the id of the node that reads them, where a schema says
    that text is a timestamp, say. ``names``: of fields, where an expression has to escape them.
    ``typed``: calls in which a schema says that lists are sets or maps."""

    calls: Calls
    conversions: Mapping[int, Convert]
    names: Mapping[int, str]
    typed: Mapping[int, Schema]

    def plan(self, node: Node) -> Step:
        step: Step = getattr(self, "_" + type(node).__name__.lower())(node)
        convert = self.conversions.get(node.id)
        if convert is None:
            return step
        return lambda frame: convert(step(frame))

    def _const(self, node: Const) -> Step:
        value = node.value
        return lambda frame: value

    def _ident(self, node: Ident) -> Step:
        name = node.name.lstrip(".")
        first, *rest = name.split(".")

        def ident(frame: Frame) -> Any:
            frame.meter.spend()
            value = frame.variables.get(name, _MISSING)
            if value is _MISSING:
                return _qualified(frame, first, rest)
            if type(value) is Failed:
                raise value.error
            return value

        return ident

    def _select(self, node: Select) -> Step:
        operand, name = self.plan(node.operand), self.names.get(node.id, node.field)
        if node.test:
            return lambda frame: _has(operand(frame), name)

        def read(frame: Frame) -> Any:
            frame.meter.spend()
            return select(operand(frame), name)

        return read

    def _call(self, node: Call) -> Step:
        special = _LAZY.get(node.function)
        if special is not None:
            return special(*(self.plan(a) for a in node.args))
        if node.function == "_?._":
            operand, field = self.plan(node.args[0]), node.args[1]
            assert isinstance(field, Const)
            name = self.names.get(node.id, field.value)
            return lambda frame: optional_select(operand(frame), name)
        if node.id in self.typed:
            left, right = (self.plan(a) for a in node.args)
            apply = operator(node.function, self.typed[node.id])
            return lambda frame: apply(frame.meter, left(frame), right(frame))
        function, nodes = self.calls.resolve(node)
        call, args = self.calls.find(function), [self.plan(a) for a in nodes]
        if len(args) == 1:
            (only,) = args
            return lambda frame: call(frame.meter, (only(frame),))
        if len(args) == 2:
            left, right = args
            return lambda frame: call(frame.meter, (left(frame), right(frame)))
        return lambda frame: call(frame.meter, [arg(frame) for arg in args])

    def _listof(self, node: ListOf) -> Step:
        elements = [(self.plan(e), i in node.optional) for i, e in enumerate(node.elements)]

        def build(frame: Frame) -> list[Any]:
            frame.meter.spend(10)
            out = []
            for element, optional in elements:
                value = element(frame)
                if not optional:
                    out.append(value)
                elif _optional(value).present:
                    out.append(value.value)
            return out

        return build

    def _mapof(self, node: MapOf) -> Step:
        entries = [(self._key(e), self.plan(e.value), e.optional) for e in node.entries]
        name = node.name

        def build(frame: Frame) -> dict[Any, Any]:
            frame.meter.spend(40 if name else 30)
            out: dict[Any, Any] = {}
            for key, value, optional in entries:
                found, at = value(frame), key(frame)
                if not optional:
                    out[_hashable(at)] = found
                elif _optional(found).present:
                    out[_hashable(at)] = found.value
            return Struct(name, out) if name else out

        return build

    def _key(self, entry: Entry) -> Step:
        key = entry.key
        if isinstance(key, str):
            return lambda frame: key
        return self.plan(key)

    def _fold(self, node: Fold) -> Step:
        source, init = self.plan(node.range), self.plan(node.init)
        condition, result = self.plan(node.condition), self.plan(node.result)
        step = self._step(node)
        accu, first, second = node.accu_var, node.iter_var, node.iter_var2

        def fold(frame: Frame) -> Any:
            over = _pairs(source(frame), two=bool(second))
            outer, frame.variables = frame.variables, dict(frame.variables)
            variables = frame.variables
            try:
                variables[accu] = init(frame)
                for one, two in over:
                    variables[first] = one
                    if second:
                        variables[second] = two
                    if not condition(frame):
                        break
                    variables[accu] = step(frame)
                return result(frame)
            finally:
                frame.variables = outer

        return fold

    def _step(self, node: Fold) -> Step:
        appended = _appended(node)
        if appended is not None:
            return self._append(node, *appended)
        step = self.plan(node.step)

        def keep_error(frame: Frame) -> Any:
            try:
                return step(frame)
            except OutOfBudget:
                raise
            except CelError as error:
                return Failed(error)

        return keep_error

    def _append(self, node: Fold, wanted: Node | None, items: ListOf) -> Step:
        """map() and filter() add to a list nobody else has yet: copying it at each step, as
        written, would take quadratic time."""
        test = self.plan(wanted) if wanted is not None else None
        build, accu = self.plan(items), node.accu_var

        def append(frame: Frame) -> Any:
            so_far = frame.variables[accu]
            if test is None or boolean(test(frame)):
                so_far.extend(build(frame))
            return so_far

        return append


def _appended(node: Fold) -> tuple[Node | None, ListOf] | None:
    """The condition and the list that this comprehension adds to its accumulator."""
    step, wanted = node.step, None
    if not (isinstance(node.init, ListOf) and isinstance(step, Call)):
        return None
    if step.function == "_?_:_":
        wanted, step = step.args[0], step.args[1]
    if not (isinstance(step, Call) and step.function == "_+_"):
        return None
    accu, items = step.args
    named = isinstance(accu, Ident) and accu.name == node.accu_var
    return (wanted, items) if named and isinstance(items, ListOf) else None


def _qualified(frame: Frame, first: str, rest: Iterable[str]) -> Any:
    value = frame.variables.get(first, _MISSING)
    if value is _MISSING:
        name = ".".join([first, *rest])
        if name in TYPES:
            return TYPES[name]
        raise CelError(f"no such attribute(s): {name}")
    for name in rest:
        value = select(value, name)
    return value


def _has(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return name in value
    if type(value) is Optional:
        return value.present and _has(value.value, name)
    try:
        select(value, name)
    except CelError as error:
        if str(error).startswith("no such key"):
            return False
        raise
    return True


def _optional(value: Any) -> Optional:
    if type(value) is not Optional:
        raise CelError("cannot initialize optional entry from non-optional value")
    return value


def _hashable(key: Any) -> Any:
    if isinstance(key, list | dict):
        raise CelError("unsupported key type")
    return key


def _pairs(value: Any, *, two: bool) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, list):
        return enumerate(value) if two else ((item, None) for item in value)
    if isinstance(value, dict):
        return list(value.items())
    raise CelError("no such overload: expression of type that cannot be ranged over")


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError("no such overload")


def _and(left: Step, right: Step) -> Step:
    return _either(left, right, decides=False)


def _or(left: Step, right: Step) -> Step:
    return _either(left, right, decides=True)


def _either(left: Step, right: Step, *, decides: bool) -> Step:
    """The value that decides absorbs an error on the other side, whichever comes first."""

    def evaluate(frame: Frame) -> bool:
        try:
            if boolean(left(frame)) is decides:
                return decides
        except OutOfBudget:
            raise
        except CelError:
            if right(frame) is not decides:
                raise
            return bool(decides)
        return boolean(right(frame))

    return evaluate


def _ternary(test: Step, yes: Step, no: Step) -> Step:
    return lambda frame: yes(frame) if boolean(test(frame)) else no(frame)


def _not_strictly_false(value: Step) -> Step:
    def evaluate(frame: Frame) -> bool:
        try:
            return bool(value(frame) is not False)
        except OutOfBudget:
            raise
        except CelError:
            return True

    return evaluate


def _or_else(optional: Step, other: Step) -> Step:
    def evaluate(frame: Frame) -> Any:
        found = _optional(optional(frame))
        return found if found.present else other(frame)

    return evaluate


def _or_value(optional: Step, other: Step) -> Step:
    def evaluate(frame: Frame) -> Any:
        found = _optional(optional(frame))
        return found.value if found.present else other(frame)

    return evaluate


def _index(value: Step, key: Step) -> Step:
    def evaluate(frame: Frame) -> Any:
        frame.meter.spend()
        return index(value(frame), key(frame))

    return evaluate


_LAZY: Mapping[str, Callable[..., Step]] = {
    "_&&_": _and,
    "_||_": _or,
    "_?_:_": _ternary,
    "@not_strictly_false": _not_strictly_false,
    "or": _or_else,
    "orValue": _or_value,
    "_[_]": _index,
}
