"""Drops from a custom object what its schema does not name, and tells the paths.

As apiextensions-apiserver pkg/apiserver/schema/pruning and schema/objectmeta: apiVersion, kind and
metadata of the object and of resources embedded in it are known without being named; metadata is
held to what ObjectMeta has.
"""

from functools import cache
from typing import Any

from edgek.api.meta import Obj
from edgek.schema.check import MAX_STRICT_ERRORS, Checker
from edgek.schema.schema import Schema, builtin_types
from edgek.schema.structural import Structural

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_IMPLIED = ("apiVersion", "kind", "metadata")


@cache
def _with_metadata() -> Schema:
    """One for all, because a checker remembers each schema that it has compiled."""
    return Schema(type="object", fields={"metadata": builtin_types().named(OBJECT_META)})


class Pruner:
    """Prunes whole objects in place. ``unknown`` are the paths of what was dropped."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self.unknown: list[str] = []

    def object(self, obj: Obj, schema: Structural, *, version: str, kind: str) -> None:
        """The root of a custom object. Raises BadRequest where metadata is none."""
        self._metadata(obj, "", version=version, kind=kind)
        self._fields(obj, schema, "", root=True)

    def _metadata(self, obj: Obj, where: str, *, version: str, kind: str) -> None:
        if obj.get("metadata") is None:
            obj.pop("metadata", None)
            return
        body = {"metadata": obj["metadata"]}
        checked = self._checker.check(body, _with_metadata(), version=version, kind=kind)
        for path in checked.unknown:
            self._note(_child(where, path))
        obj["metadata"] = checked.obj["metadata"]

    def value(self, value: Any, schema: Structural, where: str) -> None:
        """A part of an object, at the path ``where``."""
        if isinstance(value, dict):
            if schema.embedded:
                kind = str(value.get("kind") or "")
                self._metadata(value, where, version=str(value.get("apiVersion") or ""), kind=kind)
            self._fields(value, schema, where, root=schema.embedded)
        elif isinstance(value, list) and schema.items is not None:
            for index, item in enumerate(value):
                self.value(item, schema.items, f"{where}[{index}]")

    def _fields(self, value: Obj, schema: Structural, where: str, *, root: bool) -> None:
        keeps = schema.preserve_unknown or schema.additional is True
        for name in list(value):
            if root and name in _IMPLIED:
                continue
            known = schema.properties.get(name) or schema.values
            if known is not None:
                self.value(value[name], known, _child(where, name))
            elif not keeps:
                self._note(_child(where, name))
                del value[name]

    def _note(self, path: str) -> None:
        if len(self.unknown) < MAX_STRICT_ERRORS:
            self.unknown.append(path)


def _child(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
