"""Schema: the shape of one value on the wire, whoever described it.

Built-in types build it from the facts file, a CustomResourceDefinition from its structural
schema; checking, defaulting, patching and server-side apply read only this. An object's fields
are built when first looked at, so cycles (JSONSchemaProps) and unused types cost nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from edgek.schema.facts import Facts, load_facts

NOTHING: Any = object()
"""A field without a default; None could be one."""


class KindLike(Protocol):
    """What is asked of a kind here; ``edgek.kinds.Kind`` fits."""

    @property
    def group(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def schema(self) -> str: ...
    @property
    def shape(self) -> "Shaped | None": ...


class Shaped(Protocol):
    """What a custom kind brings along."""

    @property
    def schema(self) -> "Schema": ...


class LazyFields(Mapping[str, "Schema"]):
    """An object's fields by JSON name, each built on first use."""

    __slots__ = ("_build", "_built", "_facts")

    def __init__(self, facts: Mapping[str, Any], build: Callable[[Any], "Schema"]) -> None:
        self._facts = facts
        self._build = build
        self._built: dict[str, Schema] = {}

    def __getitem__(self, name: str) -> "Schema":
        found = self._built.get(name)
        if found is None:
            found = self._built[name] = self._build(self._facts[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._facts  # Mapping's own would build the field

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schema:
    """One value's shape. ``type`` is "object", "list", "map", "string", "int32", "int64",
    "double", "boolean", "bytes" (base64 text), "quantity", "int-or-string", "time",
    "micro-time" or "any".

    ``items`` is what a list or map holds. ``fields``/``required`` belong to an object;
    ``preserve_unknown`` keeps fields that an object does not name. The patch and list words are
    the x-kubernetes extensions of the same names. ``name`` is the full type name of a named
    type, or what a CRD calls its kind.
    """

    type: str
    name: str = ""
    fields: Mapping[str, "Schema"] = field(default_factory=dict)
    items: "Schema | None" = None
    required: frozenset[str] = frozenset()
    preserve_unknown: bool = False
    default: Any = NOTHING
    enum: tuple[Any, ...] = ()
    patch_strategy: tuple[str, ...] = ()
    patch_merge_key: str = ""
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    gvks: tuple[tuple[str, str, str], ...] = ()

    @property
    def short_name(self) -> str:
        """``DeploymentSpec`` of ``io.k8s.api.apps.v1.DeploymentSpec``."""
        return self.name.rpartition(".")[2]

    def __repr__(self) -> str:
        return f"<Schema {self.name or self.type}>"


class Types:
    """Schemas of built-in types, each built once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._types: dict[str, Schema] = {}
        self._scalars: dict[str, Schema] = {}

    def named(self, name: str) -> Schema:
        """By full type name. Raises KeyError for an unknown one."""
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = self._build_type(name)
        return found

    def of(self, group: str, version: str, kind: str) -> Schema | None:
        name = self.facts.kinds.get((group, version, kind))
        return self.named(name) if name else None

    def _build_type(self, name: str) -> Schema:
        fact = self.facts.type(name)
        gvks = tuple((g, v, k) for g, v, k in fact.get("k", ()))
        if "s" in fact:
            return Schema(type=fact["s"], name=name)
        return Schema(
            type="object",
            name=name,
            fields=LazyFields(fact["f"], self._build_field),
            required=frozenset(fact.get("r", ())),
            map_type=fact.get("mt", ""),
            gvks=gvks,
        )

    def _build_field(self, fact: list[Any]) -> Schema:
        base = self._of_code(fact[0])
        if len(fact) == 1:
            return base
        extra = fact[1]
        return replace(
            base,
            default=extra.get("d", NOTHING),
            enum=tuple(extra.get("e", ())),
            patch_strategy=tuple(s for s in extra.get("ps", "").split(",") if s),
            patch_merge_key=extra.get("pk", ""),
            list_type=extra.get("lt", ""),
            list_map_keys=tuple(extra.get("lk", ())),
            map_type=extra.get("mt", base.map_type),
        )

    def _of_code(self, code: str) -> Schema:
        if code.startswith("[]"):
            return Schema(type="list", items=self._of_code(code[2:]))
        if code.startswith("{}"):
            return Schema(type="map", items=self._of_code(code[2:]))
        if "." in code:
            return self.named(code)
        return self._scalars.setdefault(code, Schema(type=code))


@cache
def builtin_types() -> Types:
    """The types of this build; what it derives from a constant file it derives once."""
    return Types(load_facts())


def schema_of(kind: KindLike) -> Schema:
    """The schema of a kind. Raises KeyError where it brings none and the facts know none."""
    if kind.shape is not None:
        return kind.shape.schema
    types = builtin_types()
    if kind.schema:
        return types.named(kind.schema)
    found = types.of(kind.group, kind.version, kind.kind)
    if found is None:
        raise KeyError(f"{kind.group}/{kind.version}/{kind.kind}")
    return found
