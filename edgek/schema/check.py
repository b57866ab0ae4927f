"""One decoded body against its schema: types right, unknown fields and nulls dropped.

What Go's typed decoding does for upstream. Almost every body is clean, so each schema is
compiled once into nested closures that answer only "clean?"; only a body that is not clean is
walked again, slowly and with paths, to prune it and to say in upstream's words what is wrong.

The body given is never changed: what must differ is copied.
"""

from dataclasses import dataclass, field
from typing import Any

from edgek.api.errors import BadRequest
from edgek.api.meta import Obj
from edgek.schema.compiled import Clean, compile_clean
from edgek.schema.scalars import CONVERT, BadValue, Mismatch, go_type, go_value
from edgek.schema.schema import Schema

MAX_STRICT_ERRORS = 100
"""As sigs.k8s.io/json: one body cannot make us collect without end."""


@dataclass(kw_only=True, slots=True)
class Checked:
    """``obj`` is the body as typed decoding leaves it; ``unknown`` the paths that were dropped."""

    obj: Obj
    unknown: list[str] = field(default_factory=list)


class Checker:
    """Checks bodies; remembers what it compiled for each schema."""

    def __init__(self) -> None:
        self._compiled: dict[Schema, Clean] = {}

    def forget(self, schema: Schema) -> None:
        """For a schema whose kind is gone, such as a changed CustomResourceDefinition's."""
        self._compiled.pop(schema, None)

    def check(self, body: Any, schema: Schema, *, version: str, kind: str) -> Checked:
        """Raises BadRequest where a value has a type that its field cannot hold.

        ``version`` and ``kind`` are what the sentence of that error names.
        """
        clean = self._compiled.get(schema)
        if clean is None:
            clean = self._compiled[schema] = compile_clean(schema)
        if clean(body):
            return Checked(obj=body)
        walk = _Walk()
        try:
            obj = walk.value(body, schema, (), "")
        except Mismatch as err:
            raise cannot_handle(str(err), version=version, kind=kind) from None
        return Checked(obj=obj, unknown=walk.unknown)


def cannot_handle(why: str, *, version: str, kind: str) -> BadRequest:
    """As apiserver handlers/rest.go transformDecodeError."""
    return BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')


def strict_problems(unknown: list[str], duplicates: list[str]) -> list[str]:
    """``unknown field "spec.foo"``...: a warning each, or together one strict error."""
    texts = [f'unknown field "{path}"' for path in unknown]
    texts += [f'duplicate field "{path}"' for path in duplicates]
    return texts[:MAX_STRICT_ERRORS]


def raise_or_warn(
    problems: list[str],
    field_validation: str,
    *,
    version: str,
    kind: str,
) -> list[str]:
    """What fieldValidation makes of problems: warnings to send, or BadRequest when Strict."""
    if not problems or field_validation == "Ignore":
        return []
    if field_validation == "Strict":
        why = "strict decoding error: " + ", ".join(problems)
        raise cannot_handle(why, version=version, kind=kind)
    return problems


class _Walk:
    """The slow pass. ``where`` is the path for unknown fields, with indices; ``steps`` and
    ``struct`` are what Go names in its errors: fields only, and the innermost struct."""

    __slots__ = ("unknown",)

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def value(
        self, value: Any, schema: Schema, steps: tuple[str, ...], where: str, struct: str = ""
    ) -> Any:
        kind = schema.type
        if kind == "any":
            return value
        if kind == "object" and isinstance(value, dict):
            return self._object(value, schema, steps, where)
        if kind == "map" and isinstance(value, dict):
            return self._map(value, schema, steps, where, struct)
        if kind == "list" and isinstance(value, list):
            return self._list(value, schema, steps, where, struct)
        convert = CONVERT.get(kind)
        if convert is None:
            raise mismatch(value, schema, steps, struct)
        try:
            return convert(value)
        except BadValue:
            raise mismatch(value, schema, steps, struct) from None

    def _object(
        self, value: dict[str, Any], schema: Schema, steps: tuple[str, ...], where: str
    ) -> dict[str, Any]:
        out = {}
        for name, inner in value.items():
            path = f"{where}.{name}" if where else name
            known = schema.fields.get(name)
            if known is None:
                if schema.preserve_unknown:
                    out[name] = inner
                elif len(self.unknown) < MAX_STRICT_ERRORS:
                    self.unknown.append(path)
            elif inner is not None or known.type == "any":
                held = self.value(inner, known, (*steps, name), path, schema.short_name)
                if held is not None or known.type == "any":
                    out[name] = held
        return out

    def _map(
        self, value: dict[str, Any], schema: Schema, steps: tuple[str, ...], where: str, struct: str
    ) -> dict[str, Any]:
        assert schema.items is not None
        out = {}
        for key, inner in value.items():
            held = zero(schema.items) if inner is None else inner
            out[key] = self.value(held, schema.items, steps, f"{where}.{key}", struct)
        return out

    def _list(
        self, value: list[Any], schema: Schema, steps: tuple[str, ...], where: str, struct: str
    ) -> list[Any]:
        assert schema.items is not None
        items = schema.items
        return [
            self.value(zero(items) if v is None else v, items, steps, f"{where}[{i}]", struct)
            for i, v in enumerate(value)
        ]


def zero(schema: Schema) -> Any:
    """What Go holds where a list or map has a null: the zero value of its element."""
    zeros: dict[str, Any] = {
        "object": {}, "map": {}, "list": [], "string": "", "bytes": "", "boolean": False,
        "int32": 0, "int64": 0, "double": 0, "quantity": "0", "int-or-string": 0,
    }  # fmt: skip
    return zeros.get(schema.type)


def mismatch(value: Any, schema: Schema, steps: tuple[str, ...], struct: str) -> Mismatch:
    """The sentence of encoding/json's UnmarshalTypeError."""
    what = f"json: cannot unmarshal {go_value(value, schema)} into Go "
    if schema.type == "int-or-string":
        return Mismatch(what + "value of type int32")  # its own UnmarshalJSON knows no field
    if not steps:
        return Mismatch(what + f"value of type {go_type(schema)}")
    return Mismatch(what + f"struct field {struct}.{'.'.join(steps)} of type {go_type(schema)}")
