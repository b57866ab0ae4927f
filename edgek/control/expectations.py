"""Expectations: own writes that the cache has not shown yet.

A controller that counts pods in a cache which lags behind its own writes would create or delete
too many. So before it writes it notes what it will see, and plans nothing for that owner until
the cache has shown it all. As pkg/controller/controller_utils.go ControllerExpectations, with
deletions told apart by uid as UIDTrackingControllerExpectations does.

Invariant: a note is made before the write it speaks of, because the watch may be quicker than
the answer; a write that fails takes its note back.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from edgek.aio.clock import Clock

TIMEOUT = 300.0
"""After this long a note is worth nothing: the change was missed (ExpectationsTimeout)."""


@dataclass
class _Expected:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)

    @property
    def fulfilled(self) -> bool:
        return self.creations <= 0 and not self.deletions


class Expectations:
    """Keyed by owner. Only outstanding notes are kept, so memory is bounded by work under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[Hashable, _Expected] = {}

    def expect_creations(self, owner: Hashable, count: int) -> None:
        if count:
            self._of(owner).creations += count

    def expect_deletions(self, owner: Hashable, uids: Iterable[str]) -> None:
        if expected := set(uids):
            self._of(owner).deletions |= expected

    def creation_observed(self, owner: Hashable) -> None:
        """Also for a creation that failed and will never be seen."""
        if (expected := self._expected.get(owner)) is not None:
            expected.creations -= 1
            self._settle(owner, expected)

    def deletion_observed(self, owner: Hashable, uid: str) -> None:
        if (expected := self._expected.get(owner)) is not None:
            expected.deletions.discard(uid)
            self._settle(owner, expected)

    def satisfied(self, owner: Hashable) -> bool:
        """Whether the cache has shown all of the owner's own writes, or never will."""
        return self.remaining(owner) <= 0

    def remaining(self, owner: Hashable) -> float:
        """Seconds after which the owner may plan though nothing was seen; 0 where it may now."""
        expected = self._expected.get(owner)
        if expected is None:
            return 0.0
        left = expected.since + TIMEOUT - self._clock.monotonic()
        if left <= 0:
            del self._expected[owner]
        return max(left, 0.0)

    def forget(self, owner: Hashable) -> None:
        """The owner is gone."""
        self._expected.pop(owner, None)

    def _of(self, owner: Hashable) -> _Expected:
        expected = self._expected.setdefault(owner, _Expected(0.0))
        expected.since = self._clock.monotonic()
        return expected

    def _settle(self, owner: Hashable, expected: _Expected) -> None:
        if expected.fulfilled:
            self._expected.pop(owner, None)
