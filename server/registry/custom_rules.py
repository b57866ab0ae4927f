"""x-kubernetes-validations of custom objects: rules in CEL, evaluated as an object is written.

As apiextensions-apiserver pkg/apiserver/schema/cel. All rules of one object share a budget; what
an update leaves as it was is not held against it, except by rules about the change (oldSelf): they
are not even evaluated, where upstream evaluates and warns. Rules are compiled when first met; a
kind without any costs nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.crd_schema_validation import split_path
from edgek.schema.schema import NOTHING, Schema
from edgek.schema.structural import Rule, Structural
from edgek.schema.structural_validate import correlator, same
from edgek.schema.to_schema import to_cel_schema
from server.cel import (
    Budget,
    CelError,
    CompileError,
    Environment,
    OutOfBudget,
    Program,
    compile_expression,
)
from server.cel.errors import NO_SUCH_OVERLOAD
from server.cel.results import optional_of
from server.cel.values import Optional

_NO_OLD = Optional()


class RuleSet:
    """The rules of one version's schema. Implements Rules of edgek/kinds/custom_shape.py."""

    def __init__(self, root: Structural) -> None:
        self._root = root
        self._places: dict[Structural, _Place] = {}
        self._holding: dict[Structural, bool] = {}

    def check(self, obj: Obj, old: Any, errors: FieldErrors) -> Iterator[None]:
        """A step for each rule. ``old`` is NOTHING for a new object."""
        return _Walk(self, errors).check(_Seen(obj, old), self._root, FieldPath(), root=True)

    def place(self, schema: Structural, *, root: bool) -> "_Place":
        found = self._places.get(schema)
        if found is None:
            found = self._places[schema] = _Place(schema, root=root)
        return found

    def holds(self, schema: Structural) -> bool:
        """Whether there is a rule here or below; most of a schema need not be walked."""
        found = self._holding.get(schema)
        if found is None:
            found = bool(schema.rules) or any(self.holds(inner) for inner in _below(schema))
            self._holding[schema] = found
        return found


def _below(schema: Structural) -> Iterator[Structural]:
    yield from schema.properties.values()
    for inner in (schema.values, schema.items):
        if inner is not None:
            yield inner


class _Place:
    """Where rules stand: how they are compiled there."""

    def __init__(self, schema: Structural, *, root: bool) -> None:
        here = to_cel_schema(schema, root=root)
        self.type = "object" if root else schema.type
        self.environment = environment(here, ("bool",))
        self.optional = environment(here, ("bool",), optional=True)
        self.messages = environment(here, ("string",))
        self.optional_messages = environment(here, ("string",), optional=True)

    def program(self, rule: Rule) -> Program:
        """Raises CompileError."""
        given = self.optional if rule.optional_old_self else self.environment
        return compile_expression(rule.rule, given)

    def message(self, rule: Rule) -> Program | None:
        """None where there is none, or none that compiles: the plain message is told then."""
        if not rule.message_expression:
            return None
        given = self.optional_messages if rule.optional_old_self else self.messages
        try:
            return compile_expression(rule.message_expression, given)
        except CompileError:
            return None


def environment(here: Schema, results: tuple[str, ...], *, optional: bool = False) -> Environment:
    """``optional``: oldSelf is an optional value."""
    variables = {"self": here, "oldSelf": optional_of(here) if optional else here}
    return Environment(variables=variables, results=results)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One value. ``old`` is what rules call oldSelf, NOTHING where nothing was; ``before`` what
    an update is measured by, which finds more: items of lists that are neither set nor map by
    their index. ``same``: what it is part of is as it was."""

    value: Any
    old: Any
    before: Any = NOTHING
    same: bool = False

    @property
    def is_unchanged(self) -> bool:
        before = self.old if self.before is NOTHING else self.before
        return self.same or (before is not NOTHING and same(self.value, before))


class _Walk:
    """One object through all its rules."""

    def __init__(self, rules: RuleSet, errors: FieldErrors) -> None:
        self._rules = rules
        self._errors = errors
        self._budget = Budget()
        self._over = False

    def check(
        self, seen: _Seen, schema: Structural, path: FieldPath, *, root: bool = False
    ) -> Iterator[None]:
        if seen.value is None or self._over or not self._rules.holds(schema):
            return
        unchanged = seen.is_unchanged
        if schema.rules:
            place = self._rules.place(schema, root=root)
            for rule in schema.rules:
                self._rule(rule, place, seen, path, unchanged=unchanged)
                yield
        for inner, known, at in self._children(seen, schema, path, unchanged=unchanged):
            yield from self.check(inner, known, at)

    def _children(
        self, seen: _Seen, schema: Structural, path: FieldPath, *, unchanged: bool
    ) -> Iterator[tuple[_Seen, Structural, FieldPath]]:
        value, old = seen.value, seen.old
        before = old if seen.before is NOTHING else seen.before
        if isinstance(value, dict):
            olds = old if isinstance(old, dict) else {}
            befores = before if isinstance(before, dict) else {}
            for name, inner in value.items():
                known = schema.properties.get(name)
                at = path.child(name) if known is not None else path.key(name)
                known = known or schema.values
                if known is not None:
                    was = befores.get(name, NOTHING)
                    yield _Seen(inner, olds.get(name, NOTHING), was, unchanged), known, at
        elif isinstance(value, list) and schema.items is not None:
            find, find_old = correlator(schema, before), correlator(schema, old, by_key=True)
            for index, item in enumerate(value):
                inner = _Seen(item, find_old(index, item), find(index, item), unchanged)
                yield inner, schema.items, path.index(index)

    def _rule(
        self, rule: Rule, place: _Place, seen: _Seen, path: FieldPath, *, unchanged: bool
    ) -> None:
        if self._over:
            return
        at = place_of(rule, path)
        try:
            program = place.program(rule)
            variables = _variables(rule, program, seen)
            if variables is None or (unchanged and "oldSelf" not in program.variables):
                return
            if program.evaluate(variables, self._budget) is True:
                return
            self._refuse(rule, at, seen.value, self._message(rule, place, variables))
        except CelError as err:
            self._over = isinstance(err, OutOfBudget)
            self._errors.invalid(path, place.type, _failure(err, rule))

    def _message(self, rule: Rule, place: _Place, variables: Mapping[str, Any]) -> str:
        program = place.message(rule)
        if program is None:
            return message_of(rule)
        try:
            said = program.evaluate(variables, self._budget)
        except OutOfBudget:
            raise
        except CelError:
            return message_of(rule)
        text = said.strip() if isinstance(said, str) else ""
        return text if text and "\n" not in text else message_of(rule)

    def _refuse(self, rule: Rule, path: FieldPath, value: Any, text: str) -> None:
        """Objects and lists are too large to show."""
        large = isinstance(value, dict | list)
        match rule.reason:
            case "FieldValueRequired":
                self._errors.required(path, text)
            case "FieldValueForbidden":
                self._errors.forbidden(path, text)
            case "FieldValueDuplicate" if large:
                self._errors.duplicate_unshown(path)
            case "FieldValueDuplicate":
                self._errors.duplicate(path, value)
            case _ if large:
                self._errors.invalid_unshown(path, text)
            case _:
                self._errors.invalid(path, value, text)


def _failure(error: CelError, rule: Rule) -> str:
    """Why a rule could not be evaluated."""
    text, said = str(error), rule.message.strip() or rule.rule.strip()
    if isinstance(error, CompileError):
        return f"rule compile error: {text}"
    if text.startswith(NO_SUCH_OVERLOAD):
        why = "call arguments did not match a supported operator, function or macro signature"
        return f"'{text}': {why} for rule: {said}"
    if isinstance(error, OutOfBudget):
        if text.startswith("validation failed"):
            return text
        why = "no further validation rules will be run due to call cost exceeds limit"
        return f"'{text}': {why} for rule: {said}"
    return f"{text} evaluating rule: {said}"


def _variables(rule: Rule, program: Program, seen: _Seen) -> dict[str, Any] | None:
    """None for a rule of a change where nothing was before."""
    value, old = seen.value, seen.old
    if "oldSelf" not in program.variables:
        return {"self": value}
    if rule.optional_old_self:
        return {"self": value, "oldSelf": _NO_OLD if old is NOTHING else Optional(old, True)}
    return None if old is NOTHING else {"self": value, "oldSelf": old}


def place_of(rule: Rule, path: FieldPath) -> FieldPath:
    for step in split_path(rule.field_path) or ():
        path = path.child(step)
    return path


def message_of(rule: Rule) -> str:
    return rule.message.strip() or f"failed rule: {rule.rule.strip()}"


def rules_for(schema: Structural) -> RuleSet | None:
    """None where there are none, so that most kinds are not walked at all."""
    found = RuleSet(schema)
    return found if found.holds(schema) else None
