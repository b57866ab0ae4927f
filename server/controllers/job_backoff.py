"""How long a Job waits before it replaces failed pods: 10 s, doubling, 10 min at most.

Pure. Of a Job as a whole the failures since the last success count; with backoffLimitPerIndex
those of each index alone, which its last pod knows. As pkg/controller/job/backoff_utils.go,
but for one thing: upstream forgets at a restart. We begin again from the pods that are still
there, so that a pod which takes its node down with it does not get around the back-off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgek.api.meta import Obj
from server.controllers.job_pods import finished_at, index_failures

FIRST = timedelta(seconds=10)
LONGEST = timedelta(minutes=10)
NONE = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Failures after the last success, and when the last of them was."""

    failures: int = 0
    last: datetime | None = None


def next_backoff(old: Backoff, succeeded: Sequence[Obj], failed: Sequence[Obj]) -> Backoff:
    """With what was not counted before; a success wipes out the failures up to it."""
    ends = sorted(map(finished_at, failed))
    if succeeded:
        success = max(map(finished_at, succeeded))
        old, ends = Backoff(), [end for end in ends if end > success]
    if not ends:
        return old
    return Backoff(failures=old.failures + len(ends), last=ends[-1])


def remaining(backoff: Backoff, now: datetime) -> timedelta:
    """Until the next pod may be made."""
    if not backoff.failures or backoff.last is None:
        return NONE
    # 2**7 is past the longest already; the bound keeps the power from growing without end.
    wait = min(FIRST * (1 << min(backoff.failures - 1, 7)), LONGEST)
    # A clock that was set back must not make it longer than it ever is.
    return min(max(backoff.last + wait - now, NONE), wait)


def remaining_of_index(last_failed: Obj | None, now: datetime) -> timedelta:
    if last_failed is None:
        return NONE
    failures = sum(index_failures(last_failed)) + 1
    return remaining(Backoff(failures=failures, last=finished_at(last_failed)), now)
