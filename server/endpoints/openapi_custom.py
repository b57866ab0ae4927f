"""Custom kinds in OpenAPI documents: the schema of their definition, made whole.

As apiextensions-apiserver pkg/controller/openapi/builder: version 3 says all that the definition
says; version 2 leaves out what its readers (kubectl's client-side validation) would take wrongly.
"""

from collections.abc import Mapping
from typing import Any

from edgek.kinds.kind import Kind
from edgek.schema.schema import Schema, builtin_types
from edgek.schema.structural_prune import OBJECT_META
from server.endpoints.openapi_schemas import Document, Schemas

_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_STRING: Document = {"type": "string"}
_NOT_IN_2 = ("allOf", "anyOf", "oneOf", "not", "nullable", "default", "x-kubernetes-validations")


def add_custom(schemas: Schemas, kind: Kind, name: str, *, version: int) -> None:
    """Writes the kind's type under ``name``, and that of its list."""
    assert kind.shape is not None
    said = kind.shape.document()
    said = said if version == 3 else _for_version_2(said)
    properties = said.get("properties") or {}
    schemas.written[name] = {
        **said,
        "type": "object",
        "properties": {**properties, **_head(schemas, OBJECT_META, version)},
        "x-kubernetes-group-version-kind": [_gvk(kind, kind.kind)],
    }
    list_kind = kind.kind + "List"
    items = {"type": "array", "items": {"$ref": schemas.prefix + name}}
    schemas.written[name + "List"] = {
        "description": f"{list_kind} is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {**_head(schemas, _LIST_META, version), "items": items},
        "x-kubernetes-group-version-kind": [_gvk(kind, list_kind)],
    }


def _gvk(kind: Kind, name: str) -> Document:
    return {"group": kind.group, "kind": name, "version": kind.version}


def _head(schemas: Schemas, meta: str, version: int) -> Document:
    """What every object has, with the words for it that built-in types have."""
    named: Schema = builtin_types().named(meta)
    reference = schemas.refer(named)
    words = schemas.prose_of("io.k8s.api.core.v1.ConfigMap")
    head: dict[str, Document] = {
        "apiVersion": dict(_STRING),
        "kind": dict(_STRING),
        "metadata": {"allOf": [reference]} if version == 3 else reference,
    }
    return {
        field: {"description": words[field], **said} if words.get(field) else said
        for field, said in head.items()
    }


def _for_version_2(said: Mapping[str, Any]) -> Document:
    out = {k: v for k, v in said.items() if k not in _NOT_IN_2}
    if said.get("nullable") or said.get("x-kubernetes-int-or-string"):
        return {k: v for k, v in out.items() if k not in ("type", "items", "properties",
                "additionalProperties", "format")}  # fmt: skip
    if said.get("x-kubernetes-preserve-unknown-fields"):
        return {k: v for k, v in out.items() if k not in ("items", "properties")}
    if isinstance(out.get("properties"), dict):
        out["properties"] = {k: _for_version_2(v) for k, v in out["properties"].items()}
    for field in ("items", "additionalProperties"):
        if isinstance(out.get(field), dict):
            out[field] = _for_version_2(out[field])
    return out
