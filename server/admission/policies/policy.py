"""A stored policy, compiled: what to match, what to evaluate. Pure.

Expressions that do not compile (validation refuses them, but an object may come from elsewhere)
are kept as the error they are; the failure policy decides about it when a request meets them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj, name
from edgek.schema.schema import Schema
from server.admission.expressions import environment_with
from server.admission.match_conditions import Conditions, conditions_of
from server.admission.matching import Matcher, matcher_of
from server.cel import (
    DYN,
    Allowance,
    Budget,
    CelError,
    OutOfBudget,
    Program,
    compile_expression,
)
from server.cel.values import Opaque

TEXT, TEXT_OR_NULL = ("string",), ("string", "null_type")


@dataclass(frozen=True, kw_only=True)
class Expression:
    """``program`` is None where ``error`` says why."""

    text: str
    program: Program | None = None
    error: str = ""

    def evaluate(self, variables: Mapping[str, Any], budget: Budget) -> Any:
        """Raises CelError with upstream's sentence; OutOfBudget as it is."""
        if self.program is None:
            raise CelError(f"compilation error: {self.error}")
        try:
            return self.program.evaluate(variables, budget)
        except OutOfBudget as error:
            if budget.remaining <= 0:
                raise
            raise self._failed(error) from None
        except CelError as error:
            raise self._failed(error) from None

    def _failed(self, error: CelError) -> CelError:
        return CelError(f"expression '{self.text}' resulted in error: {error}")


@dataclass(frozen=True, kw_only=True)
class Validation:
    expression: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Mutation:
    patch_type: str
    expression: Expression


@dataclass(frozen=True, kw_only=True)
class Policy:
    """``param_kind`` is (apiVersion, kind). A policy validates or mutates."""

    name: str
    ignores_failure: bool
    matcher: Matcher
    conditions: Conditions
    param_kind: tuple[str, str] | None
    variables: Mapping[str, Expression]
    validations: Sequence[Validation] = ()
    audit_annotations: Sequence[tuple[str, Expression]] = ()
    mutations: Sequence[Mutation] = ()
    reinvoked_if_needed: bool = False


@dataclass(frozen=True, kw_only=True)
class Binding:
    name: str
    policy: str
    matcher: Matcher
    param_ref: Obj | None
    actions: Sequence[str]


class Variables(Opaque):
    """``variables`` in expressions: each is evaluated when it is first read, once."""

    type_name = "kubernetes.variables"

    def __init__(
        self, expressions: Mapping[str, Expression], scope: Mapping[str, Any], budget: Budget
    ) -> None:
        self._expressions = expressions
        self._scope = scope
        self._budget = budget
        self._known: dict[str, Any] = {}

    def select(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._evaluated(name)
        found = self._known[name]
        if isinstance(found, CelError):
            raise found
        return found

    def _evaluated(self, name: str) -> Any:
        expression = self._expressions.get(name)
        if expression is None:
            return CelError(f"no such key: {name}")
        if expression.program is None:
            why = expression.error
            return CelError(f'composited variable "{name}" fails to compile: {why}')
        try:
            return expression.program.evaluate(self._scope, self._budget)
        except OutOfBudget:
            raise
        except CelError as error:
            return CelError(f'composited variable "{name}" fails to evaluate: {error}')


class Compiler:
    """The expressions of one policy: each variable is known to those after it. ``about``: the
    schema of the objects, to check fields by name."""

    def __init__(self, spec: Obj, about: Schema = DYN) -> None:
        self._about = about
        self._allowance = Allowance()
        self._params = bool(spec.get("paramKind"))
        self._composed = bool(spec.get("variables"))
        self._schemas: dict[str, Schema] = {}

    def compile(
        self,
        text: str,
        results: tuple[str, ...] = (),
        *,
        authorizer: bool = True,
        objects: bool = False,
    ) -> Expression:
        environment = environment_with(
            dict(self._schemas) if self._composed else None,
            params=self._params,
            authorizer=authorizer,
            results=results,
            objects=objects,
            about=self._about,
        )
        try:
            self._allowance.take(text)
            return Expression(text=text, program=compile_expression(text, environment))
        except CelError as error:
            return Expression(text=text, error=str(error))

    def variables(self, variables: Sequence[Obj] | None) -> Mapping[str, Expression]:
        """In order; what is known of one is known to the next."""
        return {v.get("name") or "": self.variable(v) for v in variables or ()}

    def variable(self, variable: Obj) -> Expression:
        found = self.compile(variable.get("expression") or "")
        name = variable.get("name") or ""
        self._schemas[name] = found.program.schema if found.program else DYN
        return found


def policy_of(policy: Obj) -> Policy:
    """Of either kind."""
    spec = policy.get("spec") or {}
    kind, compiler = spec.get("paramKind"), Compiler(spec)
    variables = compiler.variables(spec.get("variables"))
    return Policy(
        name=name(policy),
        ignores_failure=spec.get("failurePolicy") == "Ignore",
        matcher=matcher_of(spec.get("matchConstraints")),
        conditions=conditions_of(spec.get("matchConditions"), params=bool(kind)),
        param_kind=(kind.get("apiVersion") or "", kind.get("kind") or "") if kind else None,
        variables=variables,
        validations=[validation_of(v, compiler) for v in spec.get("validations") or ()],
        audit_annotations=[
            (a.get("key") or "", compiler.compile(_value(a), TEXT_OR_NULL))
            for a in spec.get("auditAnnotations") or ()
        ],
        mutations=[mutation_of(m, compiler) for m in spec.get("mutations") or ()],
        reinvoked_if_needed=spec.get("reinvocationPolicy") == "IfNeeded",
    )


def _value(annotation: Obj) -> str:
    return (annotation.get("valueExpression") or "").strip()


def validation_of(validation: Obj, compiler: Compiler) -> Validation:
    message = validation.get("messageExpression") or ""
    return Validation(
        expression=compiler.compile(validation.get("expression") or "", ("bool",)),
        message=(validation.get("message") or "").strip(),
        message_expression=compiler.compile(message, TEXT, authorizer=False)
        if message.strip()
        else None,
        reason=validation.get("reason") or "Invalid",
    )


def mutation_of(mutation: Obj, compiler: Compiler) -> Mutation:
    kind = mutation.get("patchType") or ""
    field = "jsonPatch" if kind == "JSONPatch" else "applyConfiguration"
    text = (mutation.get(field) or {}).get("expression") or ""
    return Mutation(patch_type=kind, expression=compiler.compile(text, objects=True))


def binding_of(binding: Obj) -> Binding:
    spec = binding.get("spec") or {}
    return Binding(
        name=name(binding),
        policy=spec.get("policyName") or "",
        matcher=matcher_of(spec.get("matchResources")),
        param_ref=spec.get("paramRef"),
        actions=tuple(spec.get("validationActions") or ()),
    )
