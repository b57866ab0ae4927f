"""Schemas as OpenAPI writes them: components/schemas (v3) or definitions (v2).

Works on Schema values, so a CustomResourceDefinition's type is written as a built-in one is.
A type that refers to another takes it along.
"""

from collections.abc import Mapping
from typing import Any

from edgek.schema.schema import NOTHING, Schema
from server.endpoints.openapi_prose import NO_PROSE, Prose

Document = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
SPECIAL_NAMES = {
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "int-or-string": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "time": _META + "Time",
    "micro-time": _META + "MicroTime",
}
_TIME = {"type": "string", "format": "date-time"}
_SPECIAL_V2: Mapping[str, Document] = {
    "quantity": {"type": "string"},
    "int-or-string": {"type": "string", "format": "int-or-string"},
    "time": _TIME,
    "micro-time": _TIME,
}
_SPECIAL_V3: Mapping[str, Document] = {
    **_SPECIAL_V2,
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "int-or-string": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}
_SCALARS: Mapping[str, Document] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "any": {"type": "object"},
}


class Schemas:
    """Collects the types that a document needs. ``version`` is 2 or 3."""

    def __init__(self, *, version: int, prose: Prose = NO_PROSE) -> None:
        self.written: dict[str, Document] = {}
        self._version = version
        self._prose = prose
        self.prefix = "#/components/schemas/" if version == 3 else "#/definitions/"
        self._todo: list[Schema] = []

    def refer(self, schema: Schema) -> Document:
        """A plain reference to a named type, which is written too."""
        return {"$ref": self.prefix + self._name(schema)}

    def prose_of(self, name: str) -> Mapping[str, str]:
        """What is said of each field of a built-in type."""
        return self._prose.of(name)[1]

    def write_all(self) -> dict[str, Document]:
        """All types asked for so far and all that they lead to, by name."""
        while self._todo:
            schema = self._todo.pop()
            self.written[self._name(schema)] |= self._named(schema)
        return dict(sorted(self.written.items()))

    def _name(self, schema: Schema) -> str:
        name = SPECIAL_NAMES.get(schema.type) or schema.name
        if name not in self.written:
            self.written[name] = {}
            self._todo.append(schema)
        return name

    def _named(self, schema: Schema) -> Document:
        if schema.type in SPECIAL_NAMES:
            return dict((_SPECIAL_V3 if self._version == 3 else _SPECIAL_V2)[schema.type])
        if schema.type != "object":
            return dict(_SCALARS[schema.type])
        text, fields = self._prose.of(schema.name)
        properties = {
            name: self._property(field, fields.get(name, ""))
            for name, field in sorted(schema.fields.items())
        }
        gvks = [{"group": g, "kind": k, "version": v} for g, v, k in schema.gvks]
        entry: Document = {
            "description": text,
            "properties": properties,
            "required": sorted(schema.required),
            "type": "object",
            "x-kubernetes-group-version-kind": gvks,
            "x-kubernetes-map-type": schema.map_type,
            "x-kubernetes-preserve-unknown-fields": schema.preserve_unknown,
        }
        return {k: v for k, v in entry.items() if v}

    def _property(self, schema: Schema, text: str) -> Document:
        out = self._use(schema)
        extras = {
            "description": text,
            "x-kubernetes-patch-strategy": ",".join(schema.patch_strategy),
            "x-kubernetes-patch-merge-key": schema.patch_merge_key,
            "x-kubernetes-list-type": schema.list_type,
            "x-kubernetes-list-map-keys": list(schema.list_map_keys),
            "enum": list(schema.enum),
        }
        if schema.type != "object":
            extras["x-kubernetes-map-type"] = schema.map_type
        out |= {k: v for k, v in extras.items() if v}
        return out if schema.default is NOTHING else out | {"default": schema.default}

    def _use(self, schema: Schema) -> Document:
        """A type where it is used: by reference if it has a name, else in place."""
        if schema.type in SPECIAL_NAMES or (schema.type == "object" and schema.name):
            reference = self.refer(schema)
            return {"allOf": [reference]} if self._version == 3 else reference
        if schema.type == "list" and schema.items is not None:
            return {"type": "array", "items": self._use(schema.items)}
        if schema.type == "map" and schema.items is not None:
            return {"type": "object", "additionalProperties": self._use(schema.items)}
        return self._named(schema)
