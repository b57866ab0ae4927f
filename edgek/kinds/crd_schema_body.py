"""The part of a definition's schema that its own type leaves open.

OpenAPI tells of ``items``, ``additionalProperties`` and the like only that they are something (a
schema, several, or a boolean). Here they are held to what upstream decodes.
"""

from collections.abc import Iterable
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
    for word in _HOLDING:
        for inner in _schemas(props.get(word), word):
            tidy_schema(inner)


_BY_NAME = ("properties", "patternProperties", "definitions")
_HOLDING = (*_BY_NAME, "allOf", "anyOf", "oneOf", "items", "additionalProperties", "not")


def _schemas(held: Any, word: str) -> Iterable[Obj]:
    if word in _BY_NAME:
        return (held or {}).values()
    if isinstance(held, list):
        return held
    return (held,) if isinstance(held, dict) else ()


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
