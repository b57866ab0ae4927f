"""ValidatingPolicies: every validation of every policy that matches must be true.

As apiserver pkg/admission/plugin/policy/validating (dispatcher.go, validator.go); sentences are
upstream's. The first denial is the answer; warnings and audit annotations are collected.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from edgek.aio.slices import Pace
from edgek.api.errors import Refused
from edgek.kinds.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from server.admission.chain import Attributes
from server.admission.expressions import pace_of
from server.admission.matching import is_exempt
from server.admission.policies.invocations import Invocation, Invocations, Problem
from server.admission.policies.policy import Binding, Policy, Validation, Variables
from server.admission.policies.source import PolicySource
from server.admission.refusal import forbidden
from server.admission.webhooks.review import add_warnings
from server.admission.webhooks.versions import as_version
from server.cel import Budget, CelError, OutOfBudget
from server.request.reader import Reader

CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
MAX_MESSAGE = 5 * 1024
MAX_ANNOTATION = 10 * 1024


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One validation that is not true, or could not be evaluated (then without a reason)."""

    index: int
    message: str
    reason: str = ""


@dataclass(kw_only=True)
class Denials:
    """What this request is refused for so far, and audit annotations by policy and key."""

    found: list[tuple[str, str]] = field(default_factory=list)
    audit: dict[str, list[str]] = field(default_factory=dict)

    def deny(self, policy: Policy, binding: Binding | None, message: str, reason: str) -> None:
        bound = f" with binding '{binding.name}'" if binding is not None else ""
        text = f"ValidatingAdmissionPolicy '{policy.name}'{bound} denied request: {message}"
        self.found.append((text, reason or "Invalid"))


class ValidatingPolicies:
    def __init__(self, reader: Reader, invocations: Invocations) -> None:
        self._source = PolicySource(
            reader, VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING
        )
        self._invocations = invocations

    async def admit(self, attributes: Attributes) -> None:
        """Policies of this sort change nothing."""

    async def validate(self, attributes: Attributes) -> None:
        bound = self._source.bound()
        if not bound or is_exempt(attributes):
            return
        denials, scopes = Denials(), {}
        for one in bound:
            for invocation in await self._invocations.of(one, attributes):
                if isinstance(invocation, Problem):
                    _configuration(invocation, denials)
                    continue
                if invocation.kind not in scopes:
                    scopes[invocation.kind] = await self._scope(attributes, invocation)
                await _invoke(invocation, scopes[invocation.kind], attributes, denials)
        for key, values in denials.audit.items():
            attributes.annotations[key] = ", ".join(values)
        if denials.found:
            raise _refusal(attributes, *denials.found[0])

    async def _scope(self, attributes: Attributes, invocation: Invocation) -> dict[str, Any]:
        kind = invocation.kind
        scope = self._invocations.variables(attributes, kind)
        if kind != attributes.kind:
            scope["object"] = await as_version(attributes.obj, attributes, kind)
            scope["oldObject"] = await as_version(attributes.old, attributes, kind)
        return scope


def _configuration(problem: Problem, denials: Denials) -> None:
    if not problem.policy.ignores_failure:
        denials.deny(problem.policy, problem.binding, problem.message, "")


async def _invoke(
    invocation: Invocation, scope: Mapping[str, Any], attributes: Attributes, denials: Denials
) -> None:
    policy, binding, pace = invocation.policy, invocation.binding, pace_of(attributes)
    variables = {**scope, "params": invocation.param}
    try:
        if not await policy.conditions.match(variables, pace):
            return
    except CelError as error:
        if not policy.ignores_failure:
            _act(policy, binding, Failure(index=0, message=str(error)), attributes, denials)
        return
    budget = Budget()
    variables["variables"] = Variables(policy.variables, variables, budget)
    async for failure in _failures(policy, variables, budget, pace):
        _act(policy, binding, failure, attributes, denials)
    budget = Budget()
    variables["variables"] = Variables(policy.variables, variables, budget)
    await pace.rest()
    _annotate(policy, binding, variables, budget, denials)


async def _failures(
    policy: Policy, variables: Mapping[str, Any], budget: Budget, pace: Pace
) -> AsyncIterator[Failure]:
    """The validations that do not hold. Where one cannot be evaluated, the failure policy says
    whether that counts."""
    for index, validation in enumerate(policy.validations):
        await pace.rest()
        try:
            if validation.expression.evaluate(variables, budget) is not True:
                message = _message(validation, variables, budget)
                yield Failure(index=index, message=message, reason=validation.reason)
        except CelError as error:
            if not policy.ignores_failure:
                yield Failure(index=index, message=str(error))
            if isinstance(error, OutOfBudget):
                return


def _message(validation: Validation, variables: Mapping[str, Any], budget: Budget) -> str:
    """As validator.go: the expression's message unless it is unfit, else the fixed one, else the
    expression itself."""
    if validation.message_expression is not None:
        try:
            text = validation.message_expression.evaluate(variables, budget)
        except OutOfBudget as error:
            raise OutOfBudget(f"failed messageExpression: {error}") from None
        except CelError:
            text = ""
        text = text.strip() if isinstance(text, str) else ""
        if text and "\n" not in text and len(text.encode()) <= MAX_MESSAGE:
            return text
    return validation.message or f"failed expression: {validation.expression.text.strip()}"


def _act(
    policy: Policy, binding: Binding, failure: Failure, attributes: Attributes, denials: Denials
) -> None:
    for action in binding.actions:
        if action == "Deny":
            denials.deny(policy, binding, failure.message, failure.reason)
        elif action == "Warn":
            text = (
                f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding "
                f"'{binding.name}': {failure.message}"
            )
            add_warnings(attributes.warnings, [text])
        elif action == "Audit":
            _audit(policy, binding, failure, attributes)


def _audit(policy: Policy, binding: Binding, failure: Failure, attributes: Attributes) -> None:
    said = {
        "message": failure.message,
        "policy": policy.name,
        "binding": binding.name,
        "expressionIndex": failure.index,
        "validationActions": list(binding.actions),
    }
    key = "validation.policy.admission.k8s.io/validation_failure"
    attributes.annotations[key] = orjson.dumps([said]).decode()


def _annotate(
    policy: Policy,
    binding: Binding,
    variables: Mapping[str, Any],
    budget: Budget,
    denials: Denials,
) -> None:
    for key, expression in policy.audit_annotations:
        try:
            value = expression.evaluate(variables, budget)
        except CelError as error:
            if not policy.ignores_failure:
                denials.deny(policy, binding, str(error), "")
            continue
        text = value.strip() if isinstance(value, str) else ""
        values = denials.audit.setdefault(f"{policy.name}/{key}", []) if text else []
        if text and text not in values:
            values.append(text[:MAX_ANNOTATION])


def _refusal(attributes: Attributes, message: str, reason: str) -> Refused:
    status = forbidden(attributes, message).to_status()
    status |= {"reason": reason, "code": CODES.get(reason, 422)}
    details = status.setdefault("details", {})
    details["causes"] = [*details.get("causes", ()), {"message": message}]
    return Refused(status)
