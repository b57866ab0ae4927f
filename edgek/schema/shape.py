"""How fields are owned: what of a value is one field and what has fields of its own.

The words list_type, list_map_keys and map_type of a Schema, read for server-side apply: maps and
objects are granular unless they are atomic; lists are atomic unless they are sets or have keys.
What a schema does not describe is deduced from the value: maps granular, lists atomic. As
kube-openapi schemaconv and structured-merge-diff's deduced types.
"""

from typing import Any

from edgek.schema.fieldpath import key_element, value_element
from edgek.schema.schema import NOTHING, Schema

DEDUCED = Schema(type="any")
"""What holds a value that no schema describes."""

_STRUCTS = frozenset(
    """
    acceptedNames daemonEndpoints deprecatedSource devices jobTemplate kubeletEndpoint limitResponse
    loadBalancer metadata names nodeInfo pool priorityLevelConfiguration resource resources
    scaleTargetRef source spec status strategy taint template updateStrategy
    """.split()  # noqa: SIM905 (two dozen quoted words are harder to read)
)
_POINTERS = frozenset({"ReplicationControllerSpec.template", "PodSpec.resources",
                       "PodStatus.resources", "StorageVersionMigrationSpec.resource"})  # fmt: skip
_BUILT_IN = "io.k8s."


def is_map(schema: Schema, value: Any) -> bool:
    """Whether ``value`` is a map or object whose entries are fields of their own."""
    if type(value) is not dict:
        return False
    kind = schema.type
    if kind in ("object", "map"):
        return schema.map_type != "atomic"
    # A named any (apiextensions JSON) has no type in OpenAPI either and is atomic.
    return kind == "any" and not schema.name


def is_list(schema: Schema, value: Any) -> bool:
    """Whether ``value`` is a list whose items are fields of their own."""
    return type(value) is list and schema.list_type in ("map", "set")


def field_of(schema: Schema, name: str) -> Schema:
    """The schema of one entry of a map or object."""
    if schema.type == "object":
        return schema.fields.get(name) or DEDUCED
    return schema.items or DEDUCED


def is_named(schema: Schema, name: str) -> bool:
    """Whether the schema itself names this entry, as an object's does."""
    return schema.type == "object" and name in schema.fields


def item_schema(schema: Schema) -> Schema:
    return schema.items or DEDUCED


def element_of(schema: Schema, item: Any) -> str:
    """The path element of an item of a list with keys or a set; keys left out are defaulted."""
    if schema.list_type == "set":
        return value_element(item)
    return key_element(keys_of(schema, item))


def keys_of(schema: Schema, item: Any) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if type(item) is not dict:
        return keys
    for name in schema.list_map_keys:
        value = item.get(name)
        if value is None:
            value = field_of(item_schema(schema), name).default
        if value is not NOTHING:
            keys[name] = value
    return keys


def is_struct(schema: Schema, name: str) -> bool:
    """Whether Go holds this field by value, so that an object always has it and nobody makes it.

    The facts do not say which fields are pointers; these names do. Only such as can be reached
    from an object's root by structs alone matter.
    """
    if name not in _STRUCTS or not schema.name.startswith(_BUILT_IN):
        return False
    return f"{schema.short_name}.{name}" not in _POINTERS


def is_always_there(schema: Schema, name: str) -> bool:
    """Whether Go writes this field even where it holds nothing (no omitempty)."""
    return name in schema.required and schema.name.startswith(_BUILT_IN)
