"""The part of a definition's schema that its own type leaves open.

OpenAPI tells of ``items``, ``additionalProperties`` and the like only that they are something (a
schema, several, or a boolean). Here they are held to what upstream decodes.
"""

from functools import cache
from typing import Any

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj
from edgek.schema.check import Checker
from edgek.schema.schema import builtin_types

_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


@cache
def _checker() -> Checker:
    return Checker()


def tidy_schema(props: Obj) -> None:
    """In place: all schemas below, decoded. Raises BadRequest."""
    for word in ("items", "additionalProperties", "additionalItems"):
        if word in props:
            props[word] = _decoded(props[word], word)
    if isinstance(props.get("items"), list):
        for inner in props["items"]:
            tidy_schema(inner)
    for word in ("properties", "patternProperties", "definitions"):
        for inner in (props.get(word) or {}).values():
            tidy_schema(inner)
    for word in ("allOf", "anyOf", "oneOf"):
        for inner in props.get(word) or ():
            tidy_schema(inner)
    for word in ("items", "additionalProperties", "not"):
        if isinstance(props.get(word), dict):
            tidy_schema(props[word])


def _decoded(said: Any, word: str) -> Any:
    if said is None or (isinstance(said, bool) and word != "items"):
        return said
    if isinstance(said, list) and word == "items":
        return [_schema(inner, word) for inner in said]
    return _schema(said, word)


def _schema(said: Any, word: str) -> Obj:
    if not isinstance(said, dict):
        raise BadRequest(f"json: cannot unmarshal {word} of a schema: it is no JSON schema")
    schema = builtin_types().named(_PROPS)
    name = "CustomResourceDefinition"
    return _checker().check(said, schema, version="v1", kind=name).obj
