"""What the expressions of a mutating policy give, applied to an object.

``Object{...}`` is an apply configuration: it is merged as server-side apply merges, but owns
nothing, and must not touch what is atomic. ``[JSONPatch{...}]`` is a JSON patch. As apiserver
pkg/admission/plugin/policy/mutating/patch; sentences are upstream's.
"""

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson

from edgek.api.errors import ApiError, Invalid
from edgek.api.meta import Obj
from edgek.api.patch import json_patch
from edgek.kinds.kind import Kind
from edgek.schema import builtin_types, schema_of
from edgek.schema.merge import merge
from edgek.schema.schema import Schema
from edgek.schema.shape import field_of, is_list, is_map, item_schema
from edgek.schema.typed_errors import told, typed_problems
from server.admission.asked import object_type
from server.admission.webhooks.patched import completed
from server.cel.convert import string_of
from server.cel.values import Struct, type_name

MAX_VALUES = 100_000
"""Of one result: an expression of a few lines can name the same list a million times over."""
_ROOT, _JSON_PATCH = "Object", "JSONPatch"
_OPERATION = {"op": str, "path": str, "from": str}


class BadMutation(Exception):
    """What is wrong with the result of an expression; the text is for the user."""


def mutated(result: Any, patch_type: str, obj: Obj, kind: Kind, subresource: str) -> Obj:
    """A new object. Raises BadMutation, and InternalError or BadRequest for what is no object of
    its kind any more."""
    if patch_type == _JSON_PATCH:
        return _patched(result, obj, kind, subresource)
    return _applied(result, obj, kind, subresource)


def _applied(result: Any, obj: Obj, kind: Kind, subresource: str) -> Obj:
    if not isinstance(result, Struct) or result.type_name != _ROOT:
        got = type_name(result)
        raise BadMutation(f"unsupported return type from ApplyConfiguration expression: {got}")
    _check_names(result, _ROOT)
    config = {**_Plain().of(result), "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    schema = _schema(kind, subresource)
    problems = typed_problems(config, schema)
    if problems:
        why = f"failed to convert patch object to typed object: {told(problems)}"
        raise BadMutation(f"error applying patch: {why}")
    atomics = list(_atomics(config, schema, ""))
    if atomics:
        why = f"may not mutate atomic arrays, maps or structs: {', '.join(atomics)}"
        raise BadMutation(f"error applying patch: invalid ApplyConfiguration: {why}")
    return completed(_own(merge(obj, config, schema)), kind, subresource)


def _own(shared: Any) -> Obj:
    """A copy that shares nothing."""
    copied: Obj = orjson.loads(orjson.dumps(shared))
    return copied


def _schema(kind: Kind, subresource: str) -> Schema:
    about = object_type(kind, subresource)
    group, version, name = about["group"], about["version"], about["kind"]
    if (group, version, name) == (kind.group, kind.version, kind.kind):
        return schema_of(kind)
    return builtin_types().of(group, version, name) or Schema(type="any")


def _check_names(value: Any, path: str) -> None:
    """``Object.spec{selector: Object.spec.wrong{}}`` is refused."""
    if isinstance(value, Struct):
        if value.type_name != path:
            raise BadMutation(
                f'type mismatch: unexpected type name "{value.type_name}", expected "{path}", '
                "which matches field name path from root Object type"
            )
        for name, inner in value.items():
            _check_names(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            _check_names(item, path)


def _atomics(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Where the configuration holds something that is replaced as a whole."""
    if isinstance(value, dict) and schema.type in ("object", "map"):
        if not is_map(schema, value):
            yield path
        for name, inner in value.items():
            yield from _atomics(inner, field_of(schema, name), f"{path}.{name}")
    elif isinstance(value, list) and schema.type == "list":
        if not is_list(schema, value):
            yield path
        for index, item in enumerate(value):
            yield from _atomics(item, item_schema(schema), f"{path}[{index}]")


def _patched(result: Any, obj: Obj, kind: Kind, subresource: str) -> Obj:
    if not isinstance(result, list):
        raise BadMutation("type mismatch: JSONPatchType.expression should evaluate to array")
    plain = _Plain()
    operations = [_operation(item, plain) for item in result]
    try:
        changed = json_patch(obj, operations)
    except Invalid as error:
        if _test_failed(obj, operations):
            return obj
        causes = error.details.get("causes") or [{"message": error.message}]
        raise BadMutation(f"JSONPath: {causes[0]['message']}") from None
    except ApiError as error:
        raise BadMutation(f"JSONPath: {error.message}") from None
    if not isinstance(changed, dict):
        raise BadMutation("JSONPath: the patched object is no object")
    return completed(changed, kind, subresource)


def _test_failed(obj: Obj, operations: list[Obj]) -> bool:
    """Whether the patch got as far as a ``test`` that does not hold: then nothing is changed."""
    value: Any = obj
    for operation in operations:
        try:
            value = json_patch(value, [operation])
        except ApiError:
            return operation.get("op") == "test"
    return False


def _operation(item: Any, plain: "_Plain") -> Obj:
    if not isinstance(item, Struct) or item.type_name != _JSON_PATCH:
        raise BadMutation(
            "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch"
        )
    for name, value in item.items():
        if name != "value" and not isinstance(value, _OPERATION.get(name, ())):
            raise BadMutation(f"type mismatch: JSONPatch has no such field: {name}")
    value = item.get("value")
    if isinstance(value, Struct):
        _check_names(value, value.type_name)
    return {name: plain.of(inner) for name, inner in item.items()}


class _Plain:
    """CEL's values as JSON's. Counts, because shared lists are written out each time."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def of(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise BadMutation(f"the result has more than {MAX_VALUES} values")
        if isinstance(value, dict):
            return {self._key(key): self.of(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.of(item) for item in value]
        return _scalar(value)

    @staticmethod
    def _key(key: Any) -> str:
        return key if isinstance(key, str) else string_of(key)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value != value or abs(value) == float("inf"):
            raise BadMutation("the result holds a number that JSON does not have")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | timedelta):
        return string_of(value)
    raise BadMutation(
        "JSONPath valueExpression evaluated to a type that could not marshal to JSON: "
        + type_name(value)
    )
