"""Kind: everything the rest of the system needs to know about one type of object.

A built-in kind is one ``Kind(...)`` value in one file; a CustomResourceDefinition builds the
same value at run time, so nothing downstream can tell them apart. From it derive routes,
discovery, OpenAPI, storage prefix, RBAC names, Table output and the CLI's short names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from edgek.api.meta import Obj, get_path
from edgek.api.time import human_duration, parse_time
from edgek.api.validation import FieldErrors

if TYPE_CHECKING:  # not wanted by who only names kinds: agents, the command line
    from edgek.schema.schema import Schema

ALL_VERBS = (
    "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
)  # fmt: skip


@dataclass(frozen=True)
class Ago:
    """A cell that depends on the time of reading: ``before + AGE + after``.

    ``time`` is RFC 3339 text. The table renderer calls ``render`` for such cells; everything
    else about a column stays a pure function of the object.
    """

    time: str | None
    before: str = ""
    after: str = ""

    def render(self, now: datetime) -> str:
        age = human_duration(now - parse_time(self.time)) if self.time else "<unknown>"
        return f"{self.before}{age}{self.after}"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One Table column. ``read(obj)`` gives the cell: str, int, float, bool, None or ``Ago``.

    ``type``/``format`` are OpenAPI's; ``priority`` 0 is always shown, 1 only with ``-o wide``.
    A timestamp that should print as an age (as "Age") is returned as its RFC 3339 text with
    ``type="date"``; the table renderer turns it into "5m". Where the age is only part of the
    cell ("3 (5m ago)"), ``read`` returns an ``Ago`` and ``type`` is what upstream says.
    """

    name: str
    read: Callable[[Obj], Any]
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


def _created(obj: Obj) -> Any:
    return obj["metadata"].get("creationTimestamp")


def _name(obj: Obj) -> Any:
    return obj["metadata"].get("name")


NAME = Column(
    name="Name", read=_name, format="name", description="Name must be unique within a namespace."
)
AGE = Column(
    name="Age",
    read=_created,
    type="date",
    description="CreationTimestamp is when the object was created.",
)


@dataclass(frozen=True, kw_only=True)
class Subresource:
    """``/status``, ``/scale``... of a kind.

    ``kind``/``group``/``version`` name the type that the subresource speaks where it is not the
    parent's (Scale, Binding, Eviction, TokenRequest); they show in discovery.
    """

    name: str
    verbs: Sequence[str] = ("get", "patch", "update")
    group: str = ""
    version: str = ""
    kind: str = ""


CONNECT = ("create", "delete", "get", "patch", "update")
"""The verbs of a proxy: whatever the method, something else answers."""


@dataclass(frozen=True, kw_only=True)
class ScalePaths:
    """Where /scale finds its numbers, as dotted JSON paths without a leading dot."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    label_selector: str = "spec.selector"


STATUS = Subresource(name="status")
SCALE = Subresource(name="scale", group="autoscaling", version="v1", kind="Scale")

Prepare = Callable[[Obj, Obj | None], None]
"""``prepare(obj, old)``: mutates the caller's own copy before validation. ``old`` is None on
create. Clears what users may not set, carries over what they may not change."""
Validate = Callable[[Obj, FieldErrors], None]
ValidateUpdate = Callable[[Obj, Obj, FieldErrors], None]
"""``validate_update(new, old, errors)``: immutability; ``validate`` has run on new already."""
Default = Callable[[Obj], None]
Warn = Callable[[Obj, Obj | None], Sequence[str]]
"""``warn(obj, old)``: what its writer should know of a valid object (Warning headers)."""


class Conversion(Protocol):
    """Between what is stored and one served version of it. Objects given are shared with the
    store: what differs is a new object."""

    async def serve(self, objs: Sequence[Obj]) -> Sequence[Obj]:
        """Stored objects, each in the version it was written in, as this version shows them;
        one that is right already is returned itself. Raises ApiError."""

    async def store(self, obj: Obj) -> Obj:
        """An object of this version as it is to be stored."""


class Shape(Protocol):
    """What describes the objects of a custom kind, in place of the facts of built-in ones."""

    digest: str
    """Differs where anything of the description does."""

    @property
    def schema(self) -> "Schema": ...

    def document(self) -> Obj:
        """As the definition says it (JSONSchemaProps). Never mutate it."""

    def prune(self, obj: Obj) -> list[str]:
        """Drops, in place, what is not described; the paths of it. Raises BadRequest."""

    def check_rules(self, obj: Obj, old: Any, errors: FieldErrors) -> Iterator[None]:
        """Expressions, a step for each, after the kind's own validation. ``old`` is NOTHING
        (edgek/schema/schema.py) for a new object."""


def _nothing(*_: Any) -> None:
    pass


def read_field(obj: Obj, path: str) -> str:
    """A field selector's value at a dotted path; "" where absent."""
    found = get_path(obj, *path.split("."), default="")
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind in one served version.

    ``default`` fills defaults in place (idempotent), on writes; ``prepare``/``validate``/
    ``validate_update`` are the strategy as upstream's registry/rest calls them. ``selectable``
    lists the field paths that field selectors may use beyond metadata.name/namespace.
    ``durability`` is "durable", "volatile" (memory only: Leases) or "lazy" (own file, batched:
    Events). ``ttl_seconds`` expires objects of lazy kinds. ``generation`` says whether
    metadata.generation counts spec changes. ``graceful`` gives the grace seconds of a deletion
    (None: deleted at once). ``validate_name`` returns problems of metadata.name.

    A ``virtual`` kind is answered and never stored (reviews). ``conversion`` belongs to a kind
    served in another version than the one it is stored in; both share ``storage_prefix``.
    ``warning`` is sent with every answer (deprecation). ``custom``: made from a
    CustomResourceDefinition, so without strategic merge patch and protobuf; ``shape`` is its
    schema. ``on_delete(obj, now)`` changes a shallow copy of an object whose deletion begins:
    what has to happen before it may go (finalizers, conditions).
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short_names: Sequence[str] = ()
    categories: Sequence[str] = ()
    namespaced: bool = True
    verbs: Sequence[str] = ALL_VERBS
    columns: Sequence[Column] = (NAME, AGE)
    subresources: Sequence[Subresource] = ()
    scale: ScalePaths | None = None
    selectable: Sequence[str] = ()
    read_field: Callable[[Obj, str], str] = read_field
    default: Default = _nothing
    prepare: Prepare = _nothing
    prepare_status: Prepare = _nothing
    validate: Validate = _nothing
    validate_update: ValidateUpdate = _nothing
    validate_status: ValidateUpdate | None = None
    """What a write of the status is held to in place of the other two (None: to both), where
    statuses are written often."""
    warn: Warn | None = None
    validate_name: Callable[[str], list[str]] | None = None
    graceful: Callable[[Obj, int | None], int] | None = None
    generation: bool = False
    durability: str = "durable"
    ttl_seconds: int | None = None
    schema: str = ""
    """The facts' type name, such as ``io.k8s.api.core.v1.Pod``; "" derives it."""
    storage_prefix: str = ""
    virtual: bool = False
    conversion: Conversion | None = None
    warning: str = ""
    custom: bool = False
    shape: Shape | None = None
    on_delete: Callable[[Obj, str], None] | None = None
    lean: bool = False
    """Controllers that watch it keep little of an object: it need not be held decoded for them."""
    orphans: bool = False
    """Whether a deletion that says nothing of dependents leaves them alone, as it does for the
    oldest kinds (strategy.DefaultGarbageCollectionPolicy)."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """A manifest: docs, round-trip and discovery tests use it."""
    _hash: int = field(default=0, init=False, repr=False)
    """Asked several times in each request."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # frozen, but derived fields belong to the value
        set_(self, "singular", self.singular or self.kind.lower())
        set_(
            self, "storage_prefix", self.storage_prefix or f"/{self.group or 'core'}/{self.plural}/"
        )
        set_(self, "_hash", hash((self.group, self.version, self.kind)))

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """``/api/v1`` or ``/apis/GROUP/VERSION``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def is_extension(self) -> bool:
        """Of the part of the API that upstream's apiextensions-apiserver serves."""
        return self.custom or self.group == "apiextensions.k8s.io"

    @property
    def has_status(self) -> bool:
        return any(s.name == "status" for s in self.subresources)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or its subresource."""
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [p for p in (self.plural, name, subresource) if p]
        return "/".join(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kind) and (
            (self.group, self.version, self.kind) == (other.group, other.version, other.kind)
        )

    def __repr__(self) -> str:
        return f"<Kind {self.api_version}/{self.kind}>"
