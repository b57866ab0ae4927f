"""What is written in CEL: loaded when it first comes, as most clusters have none of it.

The language, its libraries and what evaluates policies with them are a tenth of all modules of an
idle server. Each function here stands for the one of the same name that it loads; app.py and
parts.py wire them like any other.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds import MUTATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY
from edgek.kinds.custom_shape import Rules
from edgek.kinds.kind import Kind
from edgek.schema.structural import Structural, holds_rules
from server.admission.chain import Attributes, Plugin
from server.request.reader import Reader

if TYPE_CHECKING:
    from server.admission.expressions import Ask

Kinds = Callable[[], Sequence[Kind]]
"""Gives all that are served."""


async def check_rules(obj: Obj, old: Obj | None, errors: FieldErrors) -> None:
    if not holds_rules(obj.get("spec")):
        return
    from server.registry import definition_rules

    await definition_rules.check_rules(obj, old, errors)


async def check_policy(obj: Obj, old: Obj | None, errors: FieldErrors) -> None:
    from server.admission.policies import check

    await check.check_policy(obj, old, errors)


async def check_webhooks(obj: Obj, old: Obj | None, errors: FieldErrors) -> None:
    if not any(hook.get("matchConditions") for hook in obj.get("webhooks") or ()):
        return
    from server.admission.policies import check

    await check.check_webhooks(obj, old, errors)


def rules_for(schema: Structural) -> Rules | None:
    from server.registry import custom_rules

    return custom_rules.rules_for(schema)


def mutating_policies(reader: Reader, kinds: Kinds, ask: "Ask") -> "Late":
    def make() -> Plugin:
        from server.admission.policies.invocations import Invocations
        from server.admission.policies.mutating import MutatingPolicies

        return MutatingPolicies(reader, Invocations(reader, kinds, ask))

    return Late(reader, MUTATING_ADMISSION_POLICY, make)


def validating_policies(reader: Reader, kinds: Kinds, ask: "Ask") -> "Late":
    def make() -> Plugin:
        from server.admission.policies.invocations import Invocations
        from server.admission.policies.validating import ValidatingPolicies

        return ValidatingPolicies(reader, Invocations(reader, kinds, ask))

    return Late(reader, VALIDATING_ADMISSION_POLICY, make)


class Late:
    """A plugin that is made when the first object of ``kind`` is there; until then a request
    pays one look."""

    def __init__(self, reader: Reader, kind: Kind, make: Callable[[], Plugin]) -> None:
        self._reader = reader
        self._kind = kind
        self._make = make
        self._freshness = reader.freshness(kind)
        self._made: Plugin | None = None

    async def admit(self, attributes: Attributes) -> None:
        if (plugin := self._plugin()) is not None:
            await plugin.admit(attributes)

    async def validate(self, attributes: Attributes) -> None:
        if (plugin := self._plugin()) is not None:
            await plugin.validate(attributes)

    def _plugin(self) -> Plugin | None:
        if self._made is None and self._freshness.stale:
            self._freshness.stale = False
            if any(True for _ in self._reader.list(self._kind)):
                self._made = self._make()
        return self._made
