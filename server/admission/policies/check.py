"""PolicyExpressions: a policy or webhook whose expressions do not compile is not stored.

Upstream does this in validation; here what kinds are does not know CEL, so it is asked at
admission, after the kind's own validation. Expressions that were stored before stay allowed, as
long as nothing around them changes what they mean.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from edgek.api.errors import Invalid
from edgek.api.meta import Obj, name
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.mutating_admission_policy import MUTATING_ADMISSION_POLICY
from edgek.kinds.validating_admission_policy import VALIDATING_ADMISSION_POLICY
from edgek.kinds.webhook_configuration import (
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from server.admission.chain import Attributes
from server.admission.match_conditions import compile_condition
from server.admission.policies.policy import (
    TEXT_OR_NULL,
    Compiler,
    Expression,
    mutation_of,
    validation_of,
)
from server.cel import CelError

_POLICIES = (VALIDATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY)
_WEBHOOKS = (VALIDATING_WEBHOOK_CONFIGURATION, MUTATING_WEBHOOK_CONFIGURATION)
SPEC = FieldPath("spec")


class PolicyExpressions:
    kinds = frozenset((*_POLICIES, *_WEBHOOKS))

    async def admit(self, attributes: Attributes) -> None:
        """Nothing to change."""

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if a.obj is None or a.subresource or a.operation not in ("CREATE", "UPDATE"):
            return
        if _meaning(a.obj) == _meaning(a.old or {}):
            return
        errors = FieldErrors()
        if a.kind in _POLICIES:
            _check_policy(a.obj.get("spec") or {}, errors)
        else:
            _check_webhooks(a.obj, errors)
        if errors:
            raise Invalid.of(a.kind, name(a.obj), errors)


def _meaning(obj: Obj) -> tuple[Any, Any]:
    return (obj.get("spec"), obj.get("webhooks"))


def _check_webhooks(obj: Obj, errors: FieldErrors) -> None:
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path = FieldPath("webhooks").index(index).child("matchConditions")
        _check_conditions(hook, path, errors, params=False)


def _check_conditions(of: Obj, path: FieldPath, errors: FieldErrors, *, params: bool) -> None:
    for index, condition in enumerate(of.get("matchConditions") or ()):
        text = (condition.get("expression") or "").strip()
        try:
            compile_condition(text, params=params)
        except CelError as error:
            errors.invalid(path.index(index).child("expression"), text, str(error))


def _check_policy(spec: Obj, errors: FieldErrors) -> None:
    _check_conditions(
        spec, SPEC.child("matchConditions"), errors, params=bool(spec.get("paramKind"))
    )
    compiler = Compiler(spec)
    found = compiler.variables(spec.get("variables"))
    for index, (_, expression) in enumerate(found.items()):
        path = SPEC.child("variables").index(index).child("expression")
        _refuse_broken({path: expression}, errors)
    for index, validation in enumerate(spec.get("validations") or ()):
        path = SPEC.child("validations").index(index)
        _refuse_broken(dict(_of_validation(validation, path, compiler)), errors)
    for index, annotation in enumerate(spec.get("auditAnnotations") or ()):
        path = SPEC.child("auditAnnotations").index(index).child("valueExpression")
        text = (annotation.get("valueExpression") or "").strip()
        _refuse_broken({path: compiler.compile(text, TEXT_OR_NULL)}, errors)
    for index, mutation in enumerate(spec.get("mutations") or ()):
        made = mutation_of(mutation, compiler)
        field = "jsonPatch" if made.patch_type == "JSONPatch" else "applyConfiguration"
        path = SPEC.child("mutations").index(index).child(field, "expression")
        _refuse_broken({path: made.expression}, errors)


def _of_validation(
    validation: Obj, path: FieldPath, compiler: Compiler
) -> Iterator[tuple[FieldPath, Expression]]:
    made = validation_of(validation, compiler)
    yield path.child("expression"), made.expression
    if made.message_expression is not None:
        yield path.child("messageExpression"), made.message_expression


def _refuse_broken(found: Mapping[FieldPath, Expression], errors: FieldErrors) -> None:
    for path, expression in found.items():
        if expression.program is None:
            errors.invalid(path, expression.text, expression.error)
