"""Waiting for a moment of the wall clock, which may be set meanwhile; pure.

Timers run on the monotonic clock. A machine without a battery for its clock starts in a year long
ago: a timer for the whole difference would be late by decades once the time is known.
"""

from datetime import datetime

LONGEST_WAIT = 3600.0


def wait_until(moment: datetime, *, now: datetime) -> float:
    """Seconds until to look again; 0 where the moment has come."""
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)
