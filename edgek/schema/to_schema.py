"""A structural schema as a Schema: the shape that server-side apply and expressions ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgek.schema.schema import Schema, builtin_types
from edgek.schema.structural import LazyMap, Structural
from edgek.schema.structural_prune import OBJECT_META

_SCALARS = {"string": "string", "boolean": "boolean", "integer": "int64", "number": "double"}
_FORMATS = {"date-time": "time", "date": "date", "duration": "duration", "byte": "bytes"}
_ANY, _STRING = Schema(type="any"), Schema(type="string")


def to_schema(structural: Structural, *, name: str, gvk: tuple[str, str, str]) -> Schema:
    """The whole object, with apiVersion, kind and metadata as every object has them."""
    return replace(_Writer().object(structural, root=True), name=name, gvks=(gvk,))


def to_cel_schema(structural: Structural, *, root: bool = False) -> Schema:
    """What an expression sees in this place: texts by their format, of metadata the name alone,
    and nothing that the schema does not name."""
    return _CelWriter().place(structural, root=root)


@dataclass(frozen=True)
class _Writer:
    def schema(self, structural: Structural) -> Schema:
        return replace(
            self.plain(structural),
            default=structural.default,
            enum=structural.enum,
            list_type=structural.list_type,
            list_map_keys=structural.list_map_keys,
            map_type=structural.map_type,
        )

    def plain(self, structural: Structural) -> Schema:
        if structural.int_or_string:
            return Schema(type="int-or-string")
        if structural.type == "array" and structural.items is not None:
            return Schema(type="list", items=self.schema(structural.items))
        if structural.type == "object":
            return self.object(structural, root=structural.embedded)
        return self.scalar(structural)

    def scalar(self, structural: Structural) -> Schema:
        return Schema(type=_SCALARS.get(structural.type, "any"))

    def object(self, structural: Structural, *, root: bool) -> Schema:
        if structural.values is not None and not structural.properties:
            return Schema(type="map", items=self.schema(structural.values))
        if structural.additional is True and not structural.properties:
            return Schema(type="map", items=_ANY)
        fields: Mapping[str, Schema] = LazyMap(structural.properties, self.schema)
        if root:
            meta = self.metadata(structural)
            fields = {**fields, "apiVersion": _STRING, "kind": _STRING, "metadata": meta}
        return Schema(
            type="object",
            fields=fields,
            required=frozenset(structural.required),
            preserve_unknown=self.keeps_unknown(structural),
        )

    def metadata(self, structural: Structural) -> Schema:
        return builtin_types().named(OBJECT_META)

    def keeps_unknown(self, structural: Structural) -> bool:
        return structural.preserve_unknown or structural.additional is True


class _CelWriter(_Writer):
    def place(self, structural: Structural, *, root: bool) -> Schema:
        return self.object(structural, root=True) if root else self.schema(structural)

    def scalar(self, structural: Structural) -> Schema:
        if structural.type == "string" and structural.format in _FORMATS:
            return Schema(type=_FORMATS[structural.format])
        return super().scalar(structural)

    def metadata(self, structural: Structural) -> Schema:
        fields = {"name": _STRING, "generateName": _STRING}
        said = structural.properties.get("metadata") if structural.embedded else None
        if said is not None:
            fields |= {name: self.schema(inner) for name, inner in said.properties.items()}
        return Schema(type="object", fields=fields)

    def keeps_unknown(self, structural: Structural) -> bool:
        return False
