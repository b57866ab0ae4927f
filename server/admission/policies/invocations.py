"""Which policies a request meets, each with a binding and its parameters.

As apiserver pkg/admission/plugin/policy/generic policy_dispatcher.go: whatever is wrong with a
policy or a binding is a ``Problem``, about which the failure policy decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj
from edgek.kinds.kind import Kind
from edgek.kinds.namespace import NAMESPACE
from server.admission.chain import Attributes
from server.admission.expressions import Ask, request_variables
from server.admission.matching import Equivalents
from server.admission.policies.params import BadBinding, Params
from server.admission.policies.policy import Binding, Policy
from server.admission.policies.source import Bound
from server.request.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The set-up of a policy, or of the binding, is broken."""

    policy: Policy
    binding: Binding | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """``kind``: as which the request has matched."""

    policy: Policy
    binding: Binding
    param: Obj | None
    kind: Kind


class Invocations:
    """What both plugins know of the server. ``kinds`` gives all kinds that are served."""

    def __init__(self, reader: Reader, kinds: Callable[[], Sequence[Kind]], ask: Ask) -> None:
        self._reader = reader
        self._equivalents = Equivalents(kinds)
        self._params = Params(reader, kinds)
        self._ask = ask

    async def of(self, bound: Bound, attributes: Attributes) -> list[Invocation | Problem]:
        """In the order of bindings and parameters. Nothing where the policy does not match."""
        policy = bound.policy
        also = () if policy.matcher.exact else self._equivalents.of(attributes.kind)
        try:
            kind = policy.matcher.match(attributes, self._namespace, also)
        except ApiError as error:
            why = f"failed to configure policy: {error.message}"
            return [Problem(policy=policy, binding=None, message=why)]
        if kind is None:
            return []
        out: list[Invocation | Problem] = []
        for binding in bound.bindings:
            out += await self._bound(policy, binding, kind, attributes)
        return out

    async def _bound(
        self, policy: Policy, binding: Binding, kind: Kind, attributes: Attributes
    ) -> list[Invocation | Problem]:
        also = () if binding.matcher.exact else self._equivalents.of(attributes.kind)
        try:
            if binding.matcher.match(attributes, self._namespace, also) is None:
                return []
            params = await self._params.of(policy, binding, attributes.namespace)
        except (ApiError, BadBinding) as error:
            why = f"failed to configure binding: {error}"
            return [Problem(policy=policy, binding=binding, message=why)]
        return [
            Invocation(policy=policy, binding=binding, param=param, kind=kind) for param in params
        ]

    def variables(self, attributes: Attributes, kind: Kind) -> dict[str, Any]:
        """All that expressions can name but params and variables."""
        return request_variables(attributes, kind, get_namespace=self._namespace, ask=self._ask)

    def _namespace(self, name: str) -> Obj | None:
        return self._reader.get(NAMESPACE, Key("", name))
