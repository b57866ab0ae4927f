"""Event of events.k8s.io: the same events under newer names, with stricter rules.

They are stored as core/v1 Events (edgek/kinds/event.py). Upstream checks both in their old
shape, and so names fields in errors as that one does.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.conversion import Between, renamed
from edgek.kinds.event import EVENT
from edgek.kinds.kind import Column, Kind
from edgek.kinds.metadata import immutable

NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
to_core = renamed(NAMES)
TYPES = ("Normal", "Warning")
OLD_FIELDS = ("firstTimestamp", "lastTimestamp", "count", "source")
FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count",
    "type", "eventTime", "action", "related", "reportingComponent", "reportingInstance",
)  # fmt: skip


def validate_lightly(obj: Obj, errors: FieldErrors) -> None:
    """What any version asks of an event."""
    EVENT.validate(to_core(obj), errors)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As ValidateEventCreate; an update asks less, as it may carry an old event."""
    event = to_core(obj)
    EVENT.validate(event, errors)
    if "resourceVersion" in obj["metadata"]:
        return
    _validate_series(event, errors)
    if not event.get("eventTime"):
        errors.required(FieldPath("eventTime"))
    if event.get("type") not in TYPES:
        errors.invalid(FieldPath("type"), "", f"has invalid value: {event.get('type') or ''}")
    for field in OLD_FIELDS:
        if event.get(field):
            errors.invalid(FieldPath(field), "", "needs to be unset")


def _validate_series(event: Obj, errors: FieldErrors) -> None:
    series, path = event.get("series"), FieldPath("series")
    if series is None:
        return
    if (series.get("count") or 0) < 2:
        errors.invalid(path.child("count"), "", "should be at least 2")
    if not series.get("lastObservedTime"):
        errors.required(path.child("lastObservedTime"))


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """Only that it happened again may be told of an event."""
    has, had = to_core(new), to_core(old)
    if has.get("series") != had.get("series"):
        _validate_series(has, errors)
    for field in FIXED:
        shown = "reportingController" if field == "reportingComponent" else field
        immutable(has.get(field) or None, had.get(field) or None, FieldPath(shown), errors)


def _of_core(column: Column) -> Column:
    read: Callable[[Obj], Any] = column.read
    return replace(column, read=lambda obj: read(to_core(obj)))


def _read(obj: Obj, path: str) -> str:
    return str(get_path(obj, *path.split("."), default=""))


EVENT_V1 = Kind(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    storage_prefix=EVENT.storage_prefix,
    durability=EVENT.durability,
    columns=tuple(_of_core(column) for column in EVENT.columns),
    selectable=(
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ),
    read_field=_read,
    validate=_validate,
    validate_update=_validate_update,
    conversion=Between(
        stored="v1",
        served="events.k8s.io/v1",
        serving=renamed({old: new for new, old in NAMES.items()}),
        storing=to_core,
    ),
    example={
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "web.17f3c2aa", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Pod", "name": "web", "namespace": "default"},
        "reason": "Scheduled",
        "action": "Binding",
        "type": "Normal",
        "note": "Assigned default/web to worker-1",
        "reportingController": "default-scheduler",
        "reportingInstance": "default-scheduler-0",
    },
)
