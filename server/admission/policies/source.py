"""The policies of one sort with their bindings, compiled once per change of either.

A cluster without policies pays one comparison of integers per request.
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
        self._revision = self._bound_revision = -1
        self._compiled: Sequence[Policy] = ()
        self._bound: Sequence[Bound] = ()

    def bound(self) -> Sequence[Bound]:
        """Ordered by name, which is how they are met."""
        revision = self._reader.revision(self._policies)
        if revision != self._revision:
            stored = sorted(self._reader.list(self._policies), key=name)
            self._compiled = [policy_of(policy) for policy in stored]
            self._revision, self._bound_revision = revision, -1
        if not self._compiled:
            return ()
        revision = self._reader.revision(self._bindings)
        if revision != self._bound_revision:
            self._bound = self._bind()
            self._bound_revision = revision
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
