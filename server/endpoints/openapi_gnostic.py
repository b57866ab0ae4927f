"""An OpenAPI v2 document in protobuf, as kubectl up to 1.28 asks for it.

The messages are those of gnostic's OpenAPIv2.proto; ``MESSAGES`` has, of each message that our
documents use, the number and form of each field. What JSON writes as an object with free keys
is a list of (name, value) pairs here; values without a fixed type are YAML text, for which JSON
will do.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from edgek.schema.wire import FIXED64, write_bytes, write_number, write_varint

ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What is answered: the name asked for has a sign that no media type may have."""
OLD_PATH = "swagger-2.0.0.pb-v1"
"""Where kubectl looks when it gets no answer by media type."""

Write = Callable[[int, Any], bytes]


def _text(number: int, value: str) -> bytes:
    return write_bytes(number, value.encode())


def _texts(number: int, values: list[str]) -> bytes:
    return b"".join(_text(number, value) for value in values)


def _count(number: int, value: int) -> bytes:
    return write_number(number, int(value))


def _double(number: int, value: float) -> bytes:
    return write_varint(number << 3 | FIXED64) + struct.pack("<d", value)


def _any(number: int, value: Any) -> bytes:
    return write_bytes(number, write_bytes(2, orjson.dumps(value)))


def _anys(number: int, values: list[Any]) -> bytes:
    return b"".join(_any(number, value) for value in values)


def _one(message: str) -> Write:
    return lambda number, value: write_bytes(number, encode(message, value))


def _many(message: str) -> Write:
    return lambda number, values: b"".join(_one(message)(number, value) for value in values)


def _named(number: int, inner: Write, values: Mapping[str, Any]) -> bytes:
    return b"".join(
        write_bytes(number, _text(1, name) + inner(2, value)) for name, value in values.items()
    )


def _map(inner: Write, *, at: int = 1) -> Write:
    """A message that holds nothing but named values, at its field ``at``."""
    return lambda number, values: write_bytes(number, _named(at, inner, values))


def _within(inner: Write, *, at: int = 1) -> Write:
    """A message that only wraps one of several choices."""
    return lambda number, value: write_bytes(number, inner(at, value))


def _additional(number: int, value: Any) -> bytes:
    inner = _count(2, value) if isinstance(value, bool) else _one("Schema")(1, value)
    return write_bytes(number, inner)


_PLACES = {"query": (3, "Query"), "path": (4, "Path")}


def _parameter(number: int, value: Mapping[str, Any]) -> bytes:
    if value["in"] == "body":
        inner = _one("BodyParameter")(1, value)
    else:
        at, message = _PLACES[value["in"]]
        inner = _within(_one(message), at=at)(2, value)
    return write_bytes(number, write_bytes(1, inner))


def _parameters(number: int, values: list[Mapping[str, Any]]) -> bytes:
    return b"".join(_parameter(number, value) for value in values)


def _type(number: int, value: str) -> bytes:
    return write_bytes(number, _text(1, value))


EXTENSIONS: Mapping[str, int] = {
    "Schema": 31, "Operation": 13, "PathItem": 10, "BodyParameter": 6, "Document": 16,
}  # fmt: skip
MESSAGES: Mapping[str, Mapping[str, tuple[int, Write]]] = {
    "Document": {
        "swagger": (1, _text),
        "info": (2, _one("Info")),
        "paths": (8, _map(_one("PathItem"), at=2)),
        "definitions": (9, _map(_one("Schema"))),
    },
    "Info": {"title": (1, _text), "version": (2, _text)},
    "PathItem": {
        "get": (2, _one("Operation")),
        "put": (3, _one("Operation")),
        "post": (4, _one("Operation")),
        "delete": (5, _one("Operation")),
        "patch": (8, _one("Operation")),
        "parameters": (9, _parameters),
    },
    "Operation": {
        "tags": (1, _texts),
        "description": (3, _text),
        "operationId": (5, _text),
        "produces": (6, _texts),
        "consumes": (7, _texts),
        "parameters": (8, _parameters),
        "responses": (9, _map(_within(_one("Response")))),
    },
    "Response": {"description": (1, _text), "schema": (2, _within(_one("Schema")))},
    "BodyParameter": {
        "description": (1, _text),
        "name": (2, _text),
        "in": (3, _text),
        "required": (4, _count),
        "schema": (5, _one("Schema")),
    },
    "Query": {
        "in": (2, _text),
        "description": (3, _text),
        "name": (4, _text),
        "type": (6, _text),
        "uniqueItems": (21, _count),
    },
    "Path": {
        "required": (1, _count),
        "in": (2, _text),
        "description": (3, _text),
        "name": (4, _text),
        "type": (5, _text),
        "uniqueItems": (20, _count),
    },
    "Schema": {
        "$ref": (1, _text),
        "format": (2, _text),
        "title": (3, _text),
        "description": (4, _text),
        "default": (5, _any),
        "multipleOf": (6, _double),
        "maximum": (7, _double),
        "exclusiveMaximum": (8, _count),
        "minimum": (9, _double),
        "exclusiveMinimum": (10, _count),
        "maxLength": (11, _count),
        "minLength": (12, _count),
        "pattern": (13, _text),
        "maxItems": (14, _count),
        "minItems": (15, _count),
        "uniqueItems": (16, _count),
        "maxProperties": (17, _count),
        "minProperties": (18, _count),
        "required": (19, _texts),
        "enum": (20, _anys),
        "additionalProperties": (21, _additional),
        "type": (22, _type),
        "items": (23, _within(_one("Schema"))),
        "allOf": (24, _many("Schema")),
        "properties": (25, _map(_one("Schema"))),
        "example": (30, _any),
    },
}


def encode(message: str, value: Mapping[str, Any]) -> bytes:
    """``value``, as the v2 JSON document has it, as that message."""
    fields = MESSAGES[message]
    out = []
    for name, inner in value.items():
        if name in fields:
            number, write = fields[name]
            out.append(write(number, inner))
        elif name.startswith("x-") and message in EXTENSIONS:
            out.append(_named(EXTENSIONS[message], _any, {name: inner}))
    return b"".join(out)


def encode_document(document: Mapping[str, Any]) -> bytes:
    return encode("Document", document)
