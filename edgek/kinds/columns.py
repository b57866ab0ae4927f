"""Cells that several kinds' tables share, as pkg/printers/internalversion prints them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.kinds.kind import Column

NONE = "<none>"
UNKNOWN = "<unknown>"


def cell(*path: str | int, default: Any = None) -> Callable[[Obj], Any]:
    """A reader of one path."""

    def read(obj: Obj) -> Any:
        return get_path(obj, *path, default=default)

    return read


def count(*path: str) -> Callable[[Obj], Any]:
    """A reader of how many entries the list or dict at ``path`` has."""

    def read(obj: Obj) -> Any:
        return len(get_path(obj, *path, default=()))

    return read


def number(*path: str) -> Callable[[Obj], Any]:
    return cell(*path, default=0)


def read_number(obj: Obj, path: str) -> str:
    """A field selector's value at a dotted path where an absent number counts as 0."""
    return str(number(*path.split("."))(obj))


def number_column(name: str, *path: str, description: str) -> Column:
    return Column(name=name, read=number(*path), type="integer", description=description)


def count_column(name: str, *path: str, description: str) -> Column:
    return Column(name=name, read=count(*path), type="integer", description=description)


def format_labels(labels: Mapping[str, str] | None) -> str:
    """``a=b,c=d`` in order of keys, or "<none>"."""
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE


def format_label_selector(selector: Mapping[str, Any] | None) -> str:
    """As metav1.FormatLabelSelector: ``a=b,c in (d,e),!f``; "<none>" where it selects nothing."""
    if not selector:
        return NONE
    terms = [f"{k}={v}" for k, v in (selector.get("matchLabels") or {}).items()]
    terms += [format_requirement(e) for e in selector.get("matchExpressions") or ()]
    return ",".join(sorted(terms)) or NONE


def format_requirement(term: Mapping[str, Any]) -> str:
    """One of a selector's matchExpressions as text."""
    values = ",".join(sorted(term.get("values") or ()))
    match term.get("operator"):
        case "Exists":
            return str(term["key"])
        case "DoesNotExist":
            return f"!{term['key']}"
        case "NotIn":
            return f"{term['key']} notin ({values})"
    return f"{term['key']} in ({values})"


def _ready(obj: Obj) -> str:
    ready = get_path(obj, "status", "readyReplicas", default=0)
    return f"{ready}/{get_path(obj, 'spec', 'replicas', default=0)}"


READY_COLUMN = Column(name="Ready", read=_ready, description="Ready pods of the desired ones.")
REPLICA_COLUMNS = (
    number_column("Desired", "spec", "replicas", description="How many pods there should be."),
    number_column("Current", "status", "replicas", description="How many pods there are."),
    number_column("Ready", "status", "readyReplicas", description="How many of them are ready."),
)


def containers_of(field: str, *template: str) -> Callable[[Obj], str]:
    """A reader of one field of all containers of the pod template at that path."""

    def read(obj: Obj) -> str:
        found: Sequence[Obj] = get_path(obj, *template, "spec", "containers", default=())
        return ",".join(c.get(field) or "" for c in found)

    return read


def _selector(obj: Obj) -> str:
    return format_label_selector(get_path(obj, "spec", "selector"))


def template_columns(
    *template: str, selector: Callable[[Obj], str] = _selector
) -> tuple[Column, ...]:
    """What -o wide tells of a workload whose pod template is at that path."""
    return (
        Column(
            name="Containers",
            read=containers_of("name", *template),
            priority=1,
            description="Names of the containers in the template.",
        ),
        Column(
            name="Images",
            read=containers_of("image", *template),
            priority=1,
            description="Images of the containers in the template.",
        ),
        Column(
            name="Selector",
            read=selector,
            priority=1,
            description="Which pods belong to this workload.",
        ),
    )


TEMPLATE_COLUMNS = template_columns("spec", "template")
