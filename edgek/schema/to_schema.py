"""A structural schema as a Schema: the shape that server-side apply and OpenAPI readers ask for."""

from collections.abc import Mapping
from dataclasses import replace

from edgek.schema.schema import Schema, builtin_types
from edgek.schema.structural import LazyMap, Structural
from edgek.schema.structural_prune import OBJECT_META

_SCALARS = {"string": "string", "boolean": "boolean", "integer": "int64", "number": "double"}
_ANY = Schema(type="any")
_STRING = Schema(type="string")


def to_schema(structural: Structural, *, name: str, gvk: tuple[str, str, str]) -> Schema:
    """The whole object, with apiVersion, kind and metadata as every object has them."""
    return replace(_object(structural, root=True), name=name, gvks=(gvk,))


def _schema(structural: Structural) -> Schema:
    shape = _plain(structural)
    return replace(
        shape,
        default=structural.default,
        enum=structural.enum,
        list_type=structural.list_type,
        list_map_keys=structural.list_map_keys,
        map_type=structural.map_type,
    )


def _plain(structural: Structural) -> Schema:
    if structural.int_or_string:
        return Schema(type="int-or-string")
    if structural.type == "array" and structural.items is not None:
        return Schema(type="list", items=_schema(structural.items))
    if structural.type == "object":
        return _object(structural, root=structural.embedded)
    return Schema(type=_SCALARS.get(structural.type, "any"))


def _object(structural: Structural, *, root: bool) -> Schema:
    if structural.values is not None and not structural.properties:
        return Schema(type="map", items=_schema(structural.values))
    if structural.additional is True and not structural.properties:
        return Schema(type="map", items=_ANY)
    fields: Mapping[str, Schema] = LazyMap(structural.properties, _schema)
    if root:
        meta = builtin_types().named(OBJECT_META)
        fields = {**fields, "apiVersion": _STRING, "kind": _STRING, "metadata": meta}
    return Schema(
        type="object",
        fields=fields,
        required=frozenset(structural.required),
        preserve_unknown=structural.preserve_unknown or structural.additional is True,
    )
