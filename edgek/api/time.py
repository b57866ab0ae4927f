"""RFC 3339 in and out, as metav1.Time (seconds) and metav1.MicroTime (microseconds)."""

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """``2026-01-02T03:04:05Z``: metav1.Time has whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """``2026-01-02T03:04:05.000000Z``: metav1.MicroTime, used by Leases and Events."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Reads either form. Raises ValueError on anything else, and without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone")
    return moment.astimezone(UTC)
