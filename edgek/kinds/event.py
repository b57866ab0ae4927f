"""Event: what happened to an object, kept for an hour."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_required, check_rule
from edgek.kinds.columns import cell
from edgek.kinds.kind import NAME, Ago, Column, Kind, read_field

ROOT = FieldPath()
SCOPELESS_NAMESPACES = ("", "default")
LIMITS = (("reportingInstance", 128), ("action", 128), ("reason", 128), ("message", 1024))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As legacyValidateEvent: an event lives where its object lives."""
    namespace = obj["metadata"].get("namespace") or ""
    about = get_path(obj, "involvedObject", "namespace", default="")
    new_style = bool(obj.get("eventTime"))
    allowed = (*SCOPELESS_NAMESPACES, "kube-system") if new_style else SCOPELESS_NAMESPACES
    elsewhere = about and about != namespace and not new_style
    if elsewhere or (not about and namespace not in allowed):
        path = ROOT.child("involvedObject", "namespace")
        errors.invalid(path, about, "does not match event.namespace")
    if obj.get("eventTime"):
        _validate_new_style(obj, errors)


def _validate_new_style(obj: Obj, errors: FieldErrors) -> None:
    check_required(obj, ("reportingInstance", "action", "reason"), ROOT, errors)
    controller = obj.get("reportingComponent")
    if not controller:
        errors.required(ROOT.child("reportingController"))
    check_rule(controller, is_qualified_name, ROOT.child("reportingController"), errors)
    for field, limit in LIMITS:
        if len(obj.get(field) or "") > limit:
            errors.invalid(ROOT.child(field), "", f"can have at most {limit} characters")


def _last_seen(obj: Obj) -> Ago:
    series = get_path(obj, "series", "lastObservedTime")
    return Ago(series or obj.get("lastTimestamp") or _first(obj))


def _first(obj: Obj) -> str | None:
    return obj.get("firstTimestamp") or obj.get("eventTime")


def _object(obj: Obj) -> str:
    about = obj.get("involvedObject") or {}
    kind, name = (about.get("kind") or "").lower(), about.get("name") or ""
    return f"{kind}/{name}" if name else kind


def _source(obj: Obj) -> str:
    """``component, host`` of whoever reported it, old style or new."""
    source = obj.get("source") or {}
    if source.get("component"):
        parts = (source["component"], source.get("host"))
    else:
        parts = (obj.get("reportingComponent"), obj.get("reportingInstance"))
    return ", ".join(p for p in parts if p)


def _count(obj: Obj) -> int:
    return int(get_path(obj, "series", "count") or obj.get("count") or 1)


def _read(obj: Obj, path: str) -> str:
    if path == "source":
        return get_path(obj, "source", "component") or obj.get("reportingComponent") or ""
    return read_field(obj, path)


EVENT = Kind(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    durability="lazy",
    ttl_seconds=3600,
    columns=(
        Column(name="Last Seen", read=_last_seen, description="When it happened last."),
        Column(name="Type", read=cell("type"), description="Normal or Warning."),
        Column(name="Reason", read=cell("reason"), description="What happened, in one word."),
        Column(name="Object", read=_object, description="What it happened to."),
        Column(
            name="Subobject",
            read=cell("involvedObject", "fieldPath", default=""),
            priority=1,
            description="Which part of the object.",
        ),
        Column(name="Source", read=_source, priority=1, description="Who reported it."),
        Column(
            name="Message",
            read=lambda obj: (obj.get("message") or "").strip(),
            description="What happened, in a sentence.",
        ),
        Column(
            name="First Seen",
            read=lambda obj: Ago(_first(obj)),
            priority=1,
            description="When it happened first.",
        ),
        Column(
            name="Count",
            read=_count,
            type="integer",
            priority=1,
            description="How often it happened.",
        ),
        Column(
            name=NAME.name, read=NAME.read, format="name", priority=1, description=NAME.description
        ),
    ),
    selectable=(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    read_field=_read,
    validate=_validate,
    example={
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web.17f3c2a9", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"},
        "reason": "Started",
        "type": "Normal",
        "message": "Started container web",
        "source": {"component": "kubelet", "host": "worker-1"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    },
)
