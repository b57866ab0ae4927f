"""The policies of one sort with their bindings, compiled once per change of either.

A cluster without policies pays one look per request.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgek.api.meta import name
from edgek.kinds.kind import Kind
from server.admission.policies.policy import Binding, Policy, binding_of, policy_of
from server.request.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A policy that is bound at least once; unbound ones do nothing."""

    policy: Policy
    bindings: Sequence[Binding]


class PolicySource:
    def __init__(self, reader: Reader, policies: Kind, bindings: Kind) -> None:
        self._reader = reader
        self._policies, self._bindings = policies, bindings
        self._policies_seen = reader.freshness(policies)
        self._bindings_seen = reader.freshness(bindings)
        self._compiled: Sequence[Policy] = ()
        self._bound: Sequence[Bound] = ()

    def bound(self) -> Sequence[Bound]:
        """Ordered by name, which is how they are met."""
        if self._policies_seen.stale:
            stored = sorted(self._reader.list(self._policies), key=name)
            self._compiled = [policy_of(policy) for policy in stored]
            self._policies_seen.stale = False
            self._bindings_seen.stale = True
        if not self._compiled:
            return ()
        if self._bindings_seen.stale:
            self._bound = self._bind()
            self._bindings_seen.stale = False
        return self._bound

    def _bind(self) -> Sequence[Bound]:
        bindings: dict[str, list[Binding]] = {}
        for stored in sorted(self._reader.list(self._bindings), key=name):
            binding = binding_of(stored)
            bindings.setdefault(binding.policy, []).append(binding)
        return [
            Bound(policy=policy, bindings=bindings[policy.name])
            for policy in self._compiled
            if policy.name in bindings
        ]
