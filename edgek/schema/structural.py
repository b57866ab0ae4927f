"""Structural: the schema of a CustomResourceDefinition's version, read once.

As apiextensions-apiserver pkg/apiserver/schema. What an object of a custom kind may hold, what is
pruned from it, defaulted into it and wrong with it all follow from this one tree; to_schema.py
makes a Schema of it for those who ask nothing but the shape. Children are read when first looked
at: large definitions have thousands of fields of which a cluster uses a few.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from edgek.schema.schema import NOTHING

T = TypeVar("T")
Props = Mapping[str, Any]
"""JSONSchemaProps as on the wire."""


class LazyMap(Mapping[str, T]):
    """Values by name, each read on first use."""

    __slots__ = ("_build", "_built", "_source")

    def __init__(self, source: Mapping[str, Any], build: Callable[[Any], T]) -> None:
        self._source = source
        self._build = build
        self._built: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        found = self._built.get(name)
        if found is None:
            found = self._built[name] = self._build(self._source[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._source

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One of x-kubernetes-validations."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old_self: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Structural:
    """One value. ``additional`` is the schema of a map's values, True for any value and False
    for none; None where additionalProperties was not said. ``limits`` holds the numeric words
    (minimum, maxLength...) that were said. The junctors hold value validations only."""

    type: str = ""
    properties: Mapping[str, "Structural"] = field(default_factory=dict)
    additional: "Structural | bool | None" = None
    items: "Structural | None" = None
    required: tuple[str, ...] = ()
    nullable: bool = False
    default: Any = NOTHING
    enum: tuple[Any, ...] = ()
    format: str = ""
    pattern: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    preserve_unknown: bool = False
    embedded: bool = False
    int_or_string: bool = False
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    all_of: "tuple[Structural, ...]" = ()
    any_of: "tuple[Structural, ...]" = ()
    one_of: "tuple[Structural, ...]" = ()
    not_: "Structural | None" = None
    rules: tuple[Rule, ...] = ()

    @property
    def values(self) -> "Structural | None":
        """The schema of a map's values, where there is one."""
        return self.additional if isinstance(self.additional, Structural) else None


_RULES = b'"x-kubernetes-validations"'
LIMITS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


def read_structural(props: Props) -> Structural:
    """``props`` is kept and must not change. What is no part of a structural schema ($ref,
    definitions...) is not read: validation of the definition refuses it."""
    default = props.get("default")
    return Structural(
        type=props.get("type") or "",
        properties=LazyMap(props.get("properties") or {}, read_structural),
        additional=_additional(props.get("additionalProperties")),
        items=_one(props.get("items")),
        required=tuple(props.get("required") or ()),
        nullable=bool(props.get("nullable")),
        default=NOTHING if default is None else default,
        enum=tuple(props.get("enum") or ()),
        format=props.get("format") or "",
        pattern=props.get("pattern") or "",
        limits={n: props[n] for n in LIMITS if props.get(n) is not None and props[n] is not False},
        preserve_unknown=bool(props.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(props.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(props.get("x-kubernetes-int-or-string")),
        list_type=props.get("x-kubernetes-list-type") or "",
        list_map_keys=tuple(props.get("x-kubernetes-list-map-keys") or ()),
        map_type=props.get("x-kubernetes-map-type") or "",
        all_of=_several(props.get("allOf")),
        any_of=_several(props.get("anyOf")),
        one_of=_several(props.get("oneOf")),
        not_=_one(props.get("not")),
        rules=tuple(_rule(r) for r in props.get("x-kubernetes-validations") or ()),
    )


def holds_rules(said: Any) -> bool:
    """Whether an expression stands anywhere in this JSON: a schema, or what holds some. Most hold
    none, and looking for the word in their text is faster than reading them."""
    return _RULES in orjson.dumps(said)


def _one(props: Any) -> Structural | None:
    return read_structural(props) if isinstance(props, dict) else None


def _several(props: Any) -> tuple[Structural, ...]:
    return tuple(read_structural(p) for p in props or ())


def _additional(said: Any) -> Structural | bool | None:
    return read_structural(said) if isinstance(said, dict) else said


def _rule(said: Mapping[str, Any]) -> Rule:
    return Rule(
        rule=said.get("rule") or "",
        message=said.get("message") or "",
        message_expression=said.get("messageExpression") or "",
        reason=said.get("reason") or "",
        field_path=said.get("fieldPath") or "",
        optional_old_self=bool(said.get("optionalOldSelf")),
    )
