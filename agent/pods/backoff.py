"""Crash-loop back-off: 10 s doubling to 300 s, or to what the node is set to; forgotten after twice
that time of quiet. Pure.

As client-go util/flowcontrol Backoff used by the kubelet: the first restart is at once; from
then on each waits, counted from the end of the container before it.
"""

from datetime import datetime, timedelta

from agent.pods.state import Backoff

BASE = 10.0
MAX = 300.0


def restart_at(backoff: Backoff | None, *, ended_at: datetime | None, now: datetime) -> datetime:
    """When a container that ended then may be started again.

    An end in the future (a board without a clock battery, set back at boot) counts as now.
    """
    ended_at = min(ended_at or now, now)
    if backoff is None or _is_forgotten(backoff, ended_at):
        return ended_at
    return ended_at + timedelta(seconds=backoff.seconds)


def grown(
    backoff: Backoff | None, *, ended_at: datetime, now: datetime, most: float = MAX
) -> Backoff:
    """The back-off after one more restart."""
    if backoff is None or _is_forgotten(backoff, ended_at):
        return Backoff(seconds=min(BASE, most), since=now, most=most)
    return Backoff(seconds=min(backoff.seconds * 2, most), since=now, most=most)


def _is_forgotten(backoff: Backoff, ended_at: datetime) -> bool:
    return ended_at - backoff.since > timedelta(seconds=2 * backoff.most)
