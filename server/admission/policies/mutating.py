"""MutatingPolicies: each mutation of each policy that matches, one after the other.

What matches is decided before the first of them; each sees what those before it have made of the
object. A change asks for a second round of the whole chain (server/admission/chain.py), in which
policies with reinvocationPolicy IfNeeded have another turn. As apiserver
pkg/admission/plugin/policy/mutating/dispatcher.go; sentences are upstream's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from edgek.api.errors import ApiError, Refused
from edgek.api.meta import Obj, name
from edgek.kinds.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
)
from server.admission.chain import Attributes
from server.admission.expressions import pace_of
from server.admission.matching import is_exempt
from server.admission.policies.invocations import Invocation, Invocations, Problem
from server.admission.policies.patches import BadMutation, mutated
from server.admission.policies.policy import Mutation, Variables
from server.admission.policies.source import PolicySource
from server.admission.refusal import forbidden
from server.admission.reinvocation import Rounds, put_back
from server.admission.webhooks.versions import as_version
from server.cel import Budget, CelError
from server.request.reader import Reader


class MutatingPolicies:
    def __init__(self, reader: Reader, invocations: Invocations) -> None:
        self._source = PolicySource(
            reader, MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING
        )
        self._invocations = invocations

    async def validate(self, attributes: Attributes) -> None:
        """Policies of this sort refuse nothing but what they cannot change."""

    async def admit(self, attributes: Attributes) -> None:
        bound = self._source.bound()
        if not bound or is_exempt(attributes) or not isinstance(attributes.obj, dict):
            return
        met = [found for one in bound for found in await self._invocations.of(one, attributes)]
        if not met:
            return
        rounds = Rounds.begun(attributes, plugin="MutatingAdmissionPolicy")
        problems: list[Problem] = []
        for found in met:
            if isinstance(found, Problem):
                problems.append(found)
            else:
                problems += await self._one(found, attributes, rounds)
        rounds.end(attributes)
        counted = [p for p in problems if not p.policy.ignores_failure]
        if counted:
            raise _refusal(attributes, counted)

    async def _one(
        self, invocation: Invocation, attributes: Attributes, rounds: Rounds
    ) -> list[Problem]:
        policy, kind, key = invocation.policy, invocation.kind, _key(invocation)
        pace = pace_of(attributes)
        scope = self._invocations.variables(attributes, kind) | {"params": invocation.param}
        scope["object"] = before = await as_version(attributes.obj, attributes, kind)
        scope["oldObject"] = await as_version(attributes.old, attributes, kind)
        try:
            if not await policy.conditions.match(scope, pace):
                return []
        except CelError as error:
            return [_problem(invocation, str(error))]
        if not rounds.take_turn(key, attributes):
            return []
        problems = []
        for mutation in policy.mutations:
            await pace.rest()
            try:
                scope["object"] = _mutate(mutation, invocation, scope, attributes.subresource)
            except (CelError, BadMutation) as error:
                problems.append(_problem(invocation, str(error)))
        changed = scope["object"] != before
        if changed:
            await put_back(attributes, scope["object"], kind=kind)
        rounds.had_turn(key, attributes, changed=changed, again=policy.reinvoked_if_needed)
        return problems


def _mutate(
    mutation: Mutation, invocation: Invocation, scope: Mapping[str, Any], subresource: str
) -> Obj:
    budget = Budget()
    variables = dict(scope)
    variables["variables"] = Variables(invocation.policy.variables, variables, budget)
    result = mutation.expression.evaluate(variables, budget)
    try:
        return mutated(result, mutation.patch_type, scope["object"], invocation.kind, subresource)
    except ApiError as error:
        raise BadMutation(error.message) from None


def _problem(invocation: Invocation, message: str) -> Problem:
    return Problem(policy=invocation.policy, binding=invocation.binding, message=message)


def _key(invocation: Invocation) -> str:
    param = invocation.param
    at = "" if param is None else f"{param['metadata'].get('namespace', '')}/{name(param)}"
    return f"{invocation.policy.name}/{invocation.binding.name}/{at}"


def _refusal(attributes: Attributes, problems: Sequence[Problem]) -> Refused:
    texts = [_told(problem) for problem in problems]
    status = forbidden(attributes, "admission request denied by policy").to_status()
    status |= {"message": texts[0], "reason": "Invalid"}
    details = status.setdefault("details", {})
    details["causes"] = [{"message": text} for text in texts]
    return Refused(status)


def _told(problem: Problem) -> str:
    bound = f" with binding '{problem.binding.name}'" if problem.binding is not None else ""
    return f"policy '{problem.policy.name}'{bound} denied request: {problem.message}"
