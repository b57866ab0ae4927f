"""Match conditions: CEL that says whether a webhook or policy wants a request at all.

One that is false decides; errors count only where none is. As apiserver
pkg/admission/plugin/webhook/matchconditions.

    conditions = conditions_of(hook.get("matchConditions"), params=False)
    wanted = await conditions.match(variables, pace)    # CelError: the failure policy decides
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.aio.slices import Pace
from edgek.api.meta import Obj
from server.admission.expressions import admission_environment
from server.cel import Budget, CelError, Program, compile_expression

BUDGET = 2_500_000
"""RuntimeCELCostBudgetMatchConditions."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Compiled, by text. ``broken``: what is wrong with those that do not compile, which
    validation refuses; only objects from elsewhere have them."""

    programs: tuple[Program, ...] = ()
    broken: tuple[str, ...] = ()

    async def match(self, variables: Mapping[str, Any], pace: Pace) -> bool:
        """``variables`` as request_variables() makes them. Raises CelError."""
        budget, errors = Budget(BUDGET), list(self.broken)
        for program in self.programs:
            await pace.rest()
            try:
                if not program.evaluate(variables, budget):
                    return False
            except CelError as error:
                errors.append(f"expression '{program.text}' resulted in error: {error}")
        if errors:
            raise CelError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
        return True


NONE = Conditions()


def conditions_of(conditions: Sequence[Obj] | None, *, params: bool) -> Conditions:
    """``params``: the expressions may name ``params``."""
    if not conditions:
        return NONE
    programs, broken = [], []
    for condition in conditions:
        try:
            programs.append(compile_condition(condition.get("expression") or "", params=params))
        except CelError as error:
            broken.append(f"compilation error: {error}")
    return Conditions(programs=tuple(programs), broken=tuple(broken))


def compile_condition(expression: str, *, params: bool) -> Program:
    """Raises CompileError, whose text validation shows."""
    environment = admission_environment(params=params, authorizer=True)
    return compile_expression(expression.strip(), environment)
