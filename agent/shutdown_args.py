"""The settings of a graceful node shutdown, under the kubelet's names. Pure.

``shutdown-grace-period`` is the time of all pods, the last part of it for critical ones. In place
of both a list may give each priority a time of its own, as shutdownGracePeriodByPodPriority.
"""

from dataclasses import dataclass
from typing import Any

from edgek.api.cron import duration_seconds
from edgek.roles import Option, Settings, UsageError

CRITICAL = 2_000_000_000
"""system-cluster-critical and above."""

OPTIONS = (
    Option(name="shutdown-grace-period", default="30s", metavar="DURATION",
           help="How long pods have to end when the machine shuts down; 0s: none is ended in "
           "order."),
    Option(name="shutdown-grace-period-critical-pods", default="10s", metavar="DURATION",
           help="The part of it that is kept for critical pods, which end last."),
    Option(name="shutdown-grace-period-by-pod-priority", multiple=True,
           metavar="PRIORITY=DURATION",
           help="In place of both: a time for pods of this priority and above."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Period:
    """How long pods of this priority, and above up to the next, have to end."""

    priority: int
    seconds: int


def parse_shutdown(settings: Settings) -> tuple[Period, ...]:
    """From the lowest priority; () where pods are not ended in order. Raises UsageError."""
    listed: Any = settings.get("shutdown_grace_period_by_pod_priority") or ()
    if listed:
        found = {_listed(str(part)) for text in listed for part in str(text).split(",")}
        return tuple(sorted(found, key=lambda period: period.priority))
    total = _seconds("shutdown-grace-period", settings.get("shutdown_grace_period") or "30s")
    option = "shutdown-grace-period-critical-pods"
    critical = _seconds(option, settings.get(option.replace("-", "_")) or "10s")
    if not total:
        return ()
    if critical > total:
        raise UsageError(f"--{option} must not be longer than --shutdown-grace-period")
    return (
        Period(priority=0, seconds=total - critical),
        Period(priority=CRITICAL, seconds=critical),
    )


def _listed(text: str) -> Period:
    option = "shutdown-grace-period-by-pod-priority"
    priority, _, duration = text.partition("=")
    try:
        return Period(priority=int(priority), seconds=_seconds(option, duration))
    except ValueError:
        raise UsageError(f"--{option} {text!r} is not PRIORITY=DURATION") from None


def _seconds(option: str, text: str) -> int:
    seconds = duration_seconds(text)
    if seconds is None or seconds < 0:
        raise UsageError(f"--{option} {text!r} is not a duration such as 30s")
    return int(seconds)
