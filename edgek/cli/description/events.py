"""The events of an object, the oldest first, as the table that ends a description."""

from collections.abc import Iterable
from datetime import UTC, datetime

from edgek.api.meta import Obj, get_path
from edgek.api.time import human_duration, parse_time
from edgek.cli.description.layout import Table


def event_table(events: Iterable[Obj], now: datetime | None = None) -> Table:
    moment = now or datetime.now(UTC)
    ordered = sorted(events, key=_last_seen)
    rows = [
        [e.get("type", ""), e.get("reason", ""), _age(e, moment), _source(e), _message(e)]
        for e in ordered
    ]
    return Table(("Type", "Reason", "Age", "From", "Message"), rows)


def _last_seen(event: Obj) -> str:
    series = get_path(event, "series", "lastObservedTime", default="")
    created = event["metadata"].get("creationTimestamp", "")
    found = series or event.get("lastTimestamp") or event.get("eventTime") or created
    return str(found)


def _count(event: Obj) -> int:
    return int(get_path(event, "series", "count", default=0) or event.get("count") or 1)


def _age(event: Obj, now: datetime) -> str:
    last = _since(_last_seen(event), now)
    first = event.get("firstTimestamp") or event.get("eventTime")
    if _count(event) > 1 and first:
        return f"{last} (x{_count(event)} over {_since(first, now)})"
    return last


def _since(text: str, now: datetime) -> str:
    return human_duration(now - parse_time(text)) if text else "<unknown>"


def _source(event: Obj) -> str:
    return str(get_path(event, "source", "component", default="") or
               event.get("reportingComponent") or "")  # fmt: skip


def _message(event: Obj) -> str:
    return " ".join(str(event.get("message") or "").split())
