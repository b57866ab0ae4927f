"""RFC 3339 in and out, as metav1.Time (seconds) and metav1.MicroTime (microseconds); ages."""

from datetime import UTC, datetime, timedelta


def format_time(moment: datetime) -> str:
    """``2026-01-02T03:04:05Z``: metav1.Time has whole seconds."""
    return _naive(moment).isoformat(timespec="seconds") + "Z"


def format_micro_time(moment: datetime) -> str:
    """``2026-01-02T03:04:05.000000Z``: metav1.MicroTime, used by Leases and Events."""
    return _naive(moment).isoformat(timespec="microseconds") + "Z"


def _naive(moment: datetime) -> datetime:
    """In UTC; isoformat pads years below 1000, which strftime does not."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def parse_time(text: str) -> datetime:
    """Reads either form. Raises ValueError on anything else, and without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone")
    return moment.astimezone(UTC)


def human_duration(span: timedelta) -> str:
    """``5m30s``, ``3d4h``, ``2y``: an age with two or three digits that matter.

    As apimachinery util/duration HumanDuration. A clock a second ahead counts as no time; more
    than that is "<invalid>".
    """
    seconds = int(span.total_seconds())
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _human_days(days, hours % 24)


def _human_days(days: int, hours: int) -> str:
    if days < 8:
        return _two(days, "d", hours, "h")
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}" + (f"{small}{small_unit}" if small else "")


def go_duration(seconds: float) -> str:
    """As Go prints a duration truncated to milliseconds: ``1m2.5s``, ``1.234s``, ``25ms``."""
    millis = int(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
