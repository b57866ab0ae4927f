"""Cost: what evaluating may use up, in the units of cel-go and Kubernetes.

Reading a variable or a field and calling a function cost 1; what works on a text costs a tenth
of its length, a list literal 10, a map 30 (apiserver pkg/cel/library/cost.go, roughly: we charge
for the values that are there, not for estimates). The limits are upstream's. Beside them a
deadline, because what a unit takes differs by a factor of twenty between a server and a board.
"""

import time
from typing import Any

from server.cel.errors import OutOfBudget

PER_CALL_LIMIT = 1_000_000
"""One evaluation of one expression (celconfig.PerCallLimit)."""
BUDGET = 10_000_000
"""All expressions of one policy or one custom resource (RuntimeCELCostBudget)."""
SECONDS = 1.0
"""Of the processor, for all evaluations of one budget together, however slow the machine: what
others do meanwhile is not held against an expression."""
_LOOK_AT_CLOCK = 2048
TRAVERSAL = 10
"""Characters or items per unit."""
_SIZED = (str, bytes, list, dict)


class Budget:
    """What several evaluations share: cost units and time. The clock starts with the first."""

    def __init__(self, units: int = BUDGET, seconds: float = SECONDS) -> None:
        self.remaining = units
        self._seconds = seconds
        self._spent = 0.0

    def begin(self) -> "Meter":
        """For one evaluation."""
        if self.remaining <= 0 or self._spent >= self._seconds:
            raise OutOfBudget(
                "validation failed due to running out of cost budget, "
                "no further validation rules will be run"
            )
        return Meter(min(PER_CALL_LIMIT, self.remaining), self._seconds - self._spent)

    def end(self, meter: "Meter") -> None:
        self.remaining -= meter.used
        self._spent += meter.seconds


class Meter:
    """Counts one evaluation; ``spend`` raises OutOfBudget."""

    __slots__ = ("_deadline", "_limit", "_next_look", "_start", "used")

    def __init__(self, limit: int, seconds: float) -> None:
        self.used = 0
        self._limit = limit
        self._start = time.thread_time()
        self._deadline = self._start + seconds
        self._next_look = _LOOK_AT_CLOCK

    @property
    def seconds(self) -> float:
        return time.thread_time() - self._start

    def spend(self, units: int = 1) -> None:
        self.used += units
        if self.used > self._limit:
            raise OutOfBudget("operation cancelled: actual cost limit exceeded")
        if self.used > self._next_look:
            self._next_look = self.used + _LOOK_AT_CLOCK
            if time.thread_time() > self._deadline:
                raise OutOfBudget("operation interrupted: deadline exceeded")

    def spend_on(self, value: Any) -> None:
        """For walking through ``value`` once."""
        if type(value) in _SIZED:
            self.spend(len(value) // TRAVERSAL)
