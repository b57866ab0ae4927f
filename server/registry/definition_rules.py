"""Are the rules in a definition's schema expressions, and can they be afforded? Asked as a
definition is written.

As apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go, where it compiles
x-kubernetes-validations. A schema with other problems is left alone: what they do to expressions
goes away with them. So is one that an update does not touch, whatever it would be told today.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgek.aio.slices import in_slices
from edgek.api.meta import Obj
from edgek.api.validation import FieldError, FieldErrors, FieldPath
from edgek.kinds.crd_version_validation import Said, schemas_of
from edgek.kinds.custom import schema_of_version
from edgek.schema.schema import Schema
from edgek.schema.structural import Rule, Structural, holds_rules, read_structural
from edgek.schema.to_schema import to_cel_schema
from server.cel import Allowance, CompileError, check_expression
from server.cel.declared import Declared, declared
from server.cel.estimate import estimate_cost
from server.cel.program import Checked
from server.cel.ranges import MOST
from server.registry.custom_rules import environment
from server.registry.definition_costs import SchemaCost, times_below

BOOL, TEXT = ("bool",), ("string",)


async def check_rules(crd: Obj, old: Obj | None, errors: FieldErrors) -> None:
    await in_slices(_steps(crd.get("spec") or {}, (old or {}).get("spec") or {}, errors))


def _steps(spec: Said, old: Said, errors: FieldErrors) -> Iterator[None]:
    """A step for each place in a schema, and for each expression."""
    problems = [error.field for error in errors]
    allowance = Allowance()
    for props, path in schemas_of(spec):
        if not holds_rules(props) or _is_unchanged(props, spec, old):
            continue
        if any(problem.startswith(str(path)) for problem in problems):
            continue
        walk = _Walk(errors=errors, allowance=allowance)
        yield from walk.schema(read_structural(props), _Place(path=path, times=1, root=True))
        walk.cost.check(path, errors)


def _is_unchanged(props: Said, spec: Said, old: Said) -> bool:
    before = {v.get("name"): schema_of_version(v) for v in old.get("versions") or ()}
    versions = [v for v in spec.get("versions") or () if schema_of_version(v) == props]
    return any(before.get(v.get("name")) == props for v in versions)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """``lost``: the list or map below which old and new values cannot be told to belong
    together. ``times``: how often one object can have this place, None without a bound."""

    path: FieldPath
    times: int | None
    lost: FieldPath | None = None
    root: bool = False

    def below(self, schema: Structural, path: FieldPath, *, splits: bool = False) -> "_Place":
        lost = self.lost or (self.path if splits else None)
        return _Place(path=path, times=times_below(self.times, schema), lost=lost)


@dataclass(kw_only=True)
class _Walk:
    """One schema."""

    errors: FieldErrors
    allowance: Allowance
    cost: SchemaCost = field(default_factory=SchemaCost)

    def schema(self, schema: Structural, place: _Place) -> Iterator[None]:
        path = place.path
        yield
        if schema.values is not None:
            at = path.child("additionalProperties")
            yield from self.schema(schema.values, place.below(schema, at))
        splits = schema.map_type == "atomic"
        for name, inner in schema.properties.items():
            at = path.child("properties").key(name)
            yield from self.schema(inner, place.below(schema, at, splits=splits))
        if schema.items is not None:
            below = place.below(schema, path.child("items"), splits=schema.list_type != "map")
            yield from self.schema(schema.items, below)
        if schema.rules:
            yield from self._rules(schema, place)

    def _rules(self, schema: Structural, place: _Place) -> Iterator[None]:
        here = to_cel_schema(schema, root=place.root)
        sizes = declared(schema, root=place.root)
        for index, rule in enumerate(schema.rules):
            at = place.path.child("x-kubernetes-validations").index(index)
            checked = self._checked(rule.rule, here, BOOL, at.child("rule"), rule)
            if checked is not None:
                self._afford(checked, sizes, at.child("rule"), place)
            yield
            if checked is None:  # upstream compiles no message of what is no rule
                continue
            if rule.message_expression:
                self._message(rule, here, sizes, at.child("messageExpression"))
                yield
            self._check_old_self(rule, checked, at, place.lost)

    def _afford(
        self, checked: Checked, sizes: Declared | None, at: FieldPath, place: _Place
    ) -> None:
        times = place.times
        if times is None:
            times = sizes.repeated if sizes is not None else 1
        cost = min(estimate_cost(checked, sizes).most * times, MOST)
        self.cost.add("estimated rule cost", cost, at, self.errors)

    def _message(self, rule: Rule, here: Schema, sizes: Declared | None, at: FieldPath) -> None:
        checked = self._checked(rule.message_expression, here, TEXT, at, rule)
        if checked is not None:
            cost = estimate_cost(checked, sizes).most
            self.cost.add("estimated messageExpression cost", cost, at, self.errors)

    def _checked(
        self, text: str, here: Schema, results: tuple[str, ...], at: FieldPath, rule: Rule
    ) -> Checked | None:
        try:
            self.allowance.take(text)
            given = environment(here, results, optional=rule.optional_old_self)
            return check_expression(text, given)
        except CompileError as err:
            told = _sentence(str(err), is_rule=results == BOOL)
            said = f"Invalid value: {_go(rule)}: {told}"
            self.errors.errors.append(FieldError("FieldValueInvalid", str(at), said))
            return None

    def _check_old_self(
        self, rule: Rule, checked: Checked, at: FieldPath, lost: FieldPath | None
    ) -> None:
        if "oldSelf" not in checked.variables:
            if rule.optional_old_self:
                text = "may not be set if oldSelf is not used in rule"
                self.errors.invalid(at.child("optionalOldSelf"), True, text)
        elif lost is not None:
            text = "oldSelf cannot be used on the uncorrelatable portion of the schema within"
            self.errors.invalid(at.child("rule"), rule.rule, f"{text} {lost}")


def _sentence(said: str, *, is_rule: bool) -> str:
    """What is wrong with one of a rule's two expressions, as upstream says it."""
    wrong_type = said.startswith("must evaluate to")
    if is_rule:
        return "cel expression must evaluate to a bool" if wrong_type else said
    if wrong_type:
        return "messageExpression must evaluate to a string"
    return f"messageExpression {said}"


def _go(rule: Rule) -> str:
    """As Go prints the rule, which upstream's sentence holds."""
    reason = f"(*apiextensions.FieldValueErrorReason)({rule.reason or 'nil'})"
    return (
        f"apiextensions.ValidationRule{{Rule:{_quoted(rule.rule)}, "
        f"Message:{_quoted(rule.message)}, "
        f"MessageExpression:{_quoted(rule.message_expression)}, Reason:{reason}, "
        f"FieldPath:{_quoted(rule.field_path)}, "
        f"OptionalOldSelf:(*bool)({'true' if rule.optional_old_self else 'nil'})}}"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
