"""Is a schema structural: does its shape stand outside of all value validation?

As apiextensions-apiserver pkg/apiserver/schema validation.go and complete.go. Works on
JSONSchemaProps as on the wire; which words are allowed at all is crd_schema_validation.py's matter.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from edgek.api.validation import FieldErrors, FieldPath
from edgek.schema.patterns import BadPattern, check_pattern

Props = Mapping[str, Any]
_INT_OR_STRING = ({"type": "integer"}, {"type": "string"})
ROOT, ITEM, FIELD = "root", "item", "field"
_NEEDS_TYPE = {
    ROOT: "must not be empty at the root",
    ITEM: "must not be empty for specified array items",
    FIELD: "must not be empty for specified object fields",
}
_FORBIDDEN_IN_JUNCTORS = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("externalDocs", "must be undefined to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)
_MUST_BE_OBJECT = "must be object if x-kubernetes-embedded-resource is true"


def check_structural(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    """Every reason why the schema at ``path`` is not structural, in order of their text."""
    found = FieldErrors()
    _shape(props, ROOT, path, found)
    _complete(props, path, found)
    errors.errors += sorted(found.errors, key=str)


def _shape(props: Props, level: str, path: FieldPath, errors: FieldErrors) -> None:
    items, additional = props.get("items"), props.get("additionalProperties")
    if props.get("type") == "array" and not isinstance(items, dict):
        errors.required(path.child("items"), "must be specified")
    if isinstance(items, dict):
        _shape(items, ITEM, path.child("items"), errors)
    for name, inner in (props.get("properties") or {}).items():
        _shape(inner, FIELD, path.child("properties").key(name), errors)
    if additional is not None and level == ROOT:
        errors.forbidden(path.child("additionalProperties"), "must not be used at the root")
    if isinstance(additional, dict):
        _shape(additional, FIELD, path.child("additionalProperties"), errors)
    _extensions(props, path, errors)
    _values(props, path, errors, skips=_int_or_string_at(props))
    _type(props, level, path, errors)
    _metadata(props, level, path, errors)


def _extensions(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    if not props.get("x-kubernetes-int-or-string"):
        return
    for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
        if props.get(name):
            text = "must be false if x-kubernetes-int-or-string is true"
            errors.invalid(path.child(name), True, text)


def _type(props: Props, level: str, path: FieldPath, errors: FieldErrors) -> None:
    kind, embedded = props.get("type") or "", bool(props.get("x-kubernetes-embedded-resource"))
    open_ended = bool(props.get("x-kubernetes-preserve-unknown-fields"))
    if embedded and not kind:
        errors.required(path.child("type"), _MUST_BE_OBJECT)
    elif embedded and kind != "object":
        errors.invalid(path.child("type"), kind, _MUST_BE_OBJECT)
    elif not kind and not props.get("x-kubernetes-int-or-string") and not open_ended:
        errors.required(path.child("type"), _NEEDS_TYPE[level])
    if embedded and props.get("additionalProperties") is not None:
        text = "must not be used if x-kubernetes-embedded-resource is set"
        errors.forbidden(path.child("additionalProperties"), text)
    if level == ROOT and kind and kind != "object":
        errors.invalid(path.child("type"), kind, "must be object at the root")
    if embedded and not open_ended and not props.get("properties"):
        text = (
            "must not be empty if x-kubernetes-embedded-resource is true without "
            "x-kubernetes-preserve-unknown-fields"
        )
        errors.required(path.child("properties"), text)


def _metadata(props: Props, level: str, path: FieldPath, errors: FieldErrors) -> None:
    fields = props.get("properties") or {}
    resource = level == ROOT or bool(props.get("x-kubernetes-embedded-resource"))
    for name in ("kind", "apiVersion") if resource else ():
        if name in fields and fields[name].get("type") != "string":
            at = path.child("properties").key(name).child("type")
            errors.invalid(at, fields[name].get("type") or "", "must be string")
    meta = fields.get("metadata")
    if meta is None or not resource:
        return
    at = path.child("properties").key("metadata")
    if meta.get("type") != "object":
        errors.invalid(at.child("type"), meta.get("type") or "", "must be object")
    if level == ROOT and not _restricts_only_names(meta):
        text = (
            "must not specify anything other than name and generateName, but metadata is "
            "implicitly specified"
        )
        errors.forbidden(at, text)


def _restricts_only_names(meta: Props) -> bool:
    named = set(meta.get("properties") or ()) <= {"name", "generateName"}
    return named and all(k in ("type", "properties", "default") for k, v in meta.items() if v)


def _int_or_string_at(props: Props) -> tuple[str, ...]:
    """Where the pattern stands that x-kubernetes-int-or-string may repeat."""
    if tuple(props.get("anyOf") or ()) == _INT_OR_STRING:
        return ("anyOf",)
    first: Props = next(iter(props.get("allOf") or ()), {})
    return ("allOf",) if tuple(first.get("anyOf") or ()) == _INT_OR_STRING else ()


def _junctors(props: Props, path: FieldPath) -> Iterator[tuple[str, int, Props, FieldPath]]:
    for name in ("anyOf", "allOf", "oneOf"):
        for index, inner in enumerate(props.get(name) or ()):
            yield name, index, inner, path.child(name).index(index)
    if isinstance(props.get("not"), dict):
        yield "not", 0, props["not"], path.child("not")


def _values(
    props: Props, path: FieldPath, errors: FieldErrors, *, skips: tuple[str, ...] = ()
) -> None:
    """The junctors and the pattern of one value; ``skips`` has the int-or-string pattern."""
    for name, index, inner, at in _junctors(props, path):
        if name == "anyOf" and name in skips:
            continue
        first = ("anyOf",) if name == "allOf" and name in skips and index == 0 else ()
        _nested(inner, at, errors, skips=first)
    if pattern := props.get("pattern"):
        try:
            check_pattern(pattern)
        except BadPattern as err:
            text = f"must be a valid regular expression, but isn't: {err}"
            errors.invalid(path.child("pattern"), pattern, text)


def _nested(
    props: Props, path: FieldPath, errors: FieldErrors, *, skips: tuple[str, ...] = ()
) -> None:
    """A value validation below a junctor: it may say nothing of the shape."""
    _values(props, path, errors, skips=skips)
    if isinstance(props.get("items"), dict):
        _nested(props["items"], path.child("items"), errors)
    fields = props.get("properties") or {}
    for name, inner in fields.items():
        _nested(inner, path.child("properties").key(name), errors)
    for name, text in _FORBIDDEN_IN_JUNCTORS:
        undefined = name in ("additionalProperties", "default")
        if props.get(name) is not None if undefined else props.get(name):
            errors.forbidden(path.child(name), text)
    if "metadata" in fields:
        at = path.child("properties").key("metadata")
        errors.forbidden(at, "must not be specified in a nested context")


def _complete(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    """What a junctor speaks of must be there outside of it, at every level."""
    for _, _, inner, at in _junctors(props, path):
        _covers(props, path, inner, at, errors)
    if isinstance(props.get("items"), dict):
        _complete(props["items"], path.child("items"), errors)
    for name, inner in (props.get("properties") or {}).items():
        _complete(inner, path.child("properties").key(name), errors)
    if isinstance(props.get("additionalProperties"), dict):
        _complete(props["additionalProperties"], path.child("additionalProperties"), errors)


def _covers(
    props: Props, path: FieldPath, inner: Props, at: FieldPath, errors: FieldErrors
) -> None:
    for _, _, deeper, where in _junctors(inner, at):
        _covers(props, path, deeper, where, errors)
    if isinstance(inner.get("items"), dict):
        own = props.get("items")
        if not isinstance(own, dict):
            text = f"because it is defined in {at.child('items')}"
            errors.required(path.child("items"), text)
        else:
            _covers(own, path.child("items"), inner["items"], at.child("items"), errors)
    known = props.get("properties") or {}
    for name, field in (inner.get("properties") or {}).items():
        here, there = path.child("properties").key(name), at.child("properties").key(name)
        if name in known:
            _covers(known[name], here, field, there, errors)
        elif not (name == "metadata" or _is_map(props)):
            errors.required(here, f"because it is defined in {there}")
        elif _is_map(props):
            errors.forbidden(
                path.child("additionalProperties"),
                f"must not be set because it is incompatible with {there}",
            )


def _is_map(props: Props) -> bool:
    return isinstance(props.get("additionalProperties"), dict)
