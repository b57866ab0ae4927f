"""Which words a definition's schema may use, and how they must fit together.

As apiextensions-apiserver pkg/apis/apiextensions/validation, from
validateCustomResourceDefinitionValidation on. Whether the schema is structural is
crd_structural.py's matter; expressions are compiled elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import repeated
from edgek.kinds.crd_defaults_validation import check_defaults
from edgek.kinds.crd_structural import check_structural

Props = Mapping[str, Any]
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_ROOT_WORDS = {
    "description": "Description", "type": "Type", "format": "Format", "title": "Title",
    "maximum": "Maximum", "exclusiveMaximum": "ExclusiveMaximum", "minimum": "Minimum",
    "exclusiveMinimum": "ExclusiveMinimum", "maxLength": "MaxLength", "minLength": "MinLength",
    "pattern": "Pattern", "maxItems": "MaxItems", "minItems": "MinItems",
    "uniqueItems": "UniqueItems", "multipleOf": "MultipleOf", "required": "Required",
    "items": "Items", "properties": "Properties", "externalDocs": "ExternalDocs",
    "example": "Example", "x-kubernetes-preserve-unknown-fields": "XPreserveUnknownFields",
    "x-kubernetes-validations": "XValidations",
}  # fmt: skip
_NOT_SUPPORTED = (
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
)
_META_FIELDS = ("metadata", "kind", "apiVersion")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where in the schema we are: ``no_defaults`` says why none may be here."""

    root: bool = False
    in_meta: bool = False
    no_defaults: str | None = None


def check_schema(props: Props, path: FieldPath, errors: FieldErrors, *, has_status: bool) -> None:
    """The openAPIV3Schema at ``path``."""
    before = len(errors.errors)
    if has_status:
        _check_root(props, path, errors)
    if props.get("nullable"):
        errors.forbidden(path.child("nullable"), "nullable cannot be true at the root")
    check_structural(props, path, errors)
    _check(props, path, errors, _Place(root=True))
    if len(errors.errors) == before:
        check_defaults(props, path, errors)


def _check_root(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    """Words are few enough that ``status`` alone can be held to its part of the schema."""
    kind = props.get("type")
    if kind and kind != "object":
        text = (
            'only "object" is allowed as the type at the root of the schema if the status '
            "subresource is enabled"
        )
        errors.invalid(path.child("type"), kind, text)
    if any(value and word not in _ROOT_WORDS for word, value in props.items()):
        allowed = " ".join(_ROOT_WORDS.values())
        text = (
            f"only [{allowed}] fields are allowed at the root of the schema if the status "
            "subresource is enabled"
        )
        errors.invalid(path, props, text)


def _check(props: Props, path: FieldPath, errors: FieldErrors, place: _Place) -> None:
    _check_words(props, path, errors, place)
    if props.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.forbidden(path.child("uniqueItems"), text)
    additional = props.get("additionalProperties")
    if additional is not None and additional is not True and props.get("properties"):
        text = "additionalProperties and properties are mutual exclusive"
        errors.forbidden(path.child("additionalProperties"), text)
    for inner, at, within in _children(props, path, place):
        _check(inner, at, errors, within)
    if props.get("x-kubernetes-preserve-unknown-fields") is False:
        at = path.child("x-kubernetes-preserve-unknown-fields")
        errors.invalid(at, False, "must be true or undefined")
    _check_map_type(props, path, errors)
    _check_list_type(props, path, errors)
    _check_rules(props, path, errors)


def _check_words(props: Props, path: FieldPath, errors: FieldErrors, place: _Place) -> None:
    kind = props.get("type") or ""
    if kind and kind not in _TYPES:
        errors.not_supported(path.child("type"), kind, _TYPES)
    if props.get("default") is not None and place.no_defaults is not None:
        errors.forbidden(path.child("default"), f"must not be set {place.no_defaults}")
    for word in _NOT_SUPPORTED:
        if props.get(word) not in (None, "", {}):
            errors.forbidden(path.child(word), f"{word} is not supported")
    if kind == "null":
        text = "type cannot be set to null, use nullable as an alternative"
        errors.forbidden(path.child("type"), text)
    if isinstance(props.get("items"), list):
        text = "items must be a schema object and not an array"
        errors.forbidden(path.child("items"), text)
    if place.in_meta and props.get("x-kubernetes-embedded-resource"):
        at = path.child("x-kubernetes-embedded-resource")
        errors.forbidden(at, "must not be used inside of resource meta")


def _children(
    props: Props, path: FieldPath, place: _Place
) -> Iterator[tuple[Props, FieldPath, _Place]]:
    below = replace(place, root=False)
    resource = place.root or bool(props.get("x-kubernetes-embedded-resource"))
    if isinstance(additional := props.get("additionalProperties"), dict):
        why = "inside additionalProperties applying to object metadata"
        within = replace(below, no_defaults=why) if place.in_meta else below
        yield additional, path.child("additionalProperties"), within
    for name, inner in (props.get("properties") or {}).items():
        within = below
        if resource and name in _META_FIELDS:
            reason = f"in top-level {name}" if place.root else below.no_defaults
            within = replace(below, in_meta=True, no_defaults=reason)
        yield inner, path.child("properties").key(name), within
    if isinstance(props.get("not"), dict):
        yield props["not"], path.child("not"), below
    for word in ("allOf", "oneOf", "anyOf"):
        for index, inner in enumerate(props.get(word) or ()):
            yield inner, path.child(word).index(index), below
    if isinstance(props.get("items"), dict):
        yield props["items"], path.child("items"), below


def _check_map_type(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    said = props.get("x-kubernetes-map-type")
    if said is None:
        return
    _check_type_for(props, "object", "x-kubernetes-map-type", path, errors)
    if said not in ("atomic", "granular"):
        at = path.child("x-kubernetes-map-type")
        errors.not_supported(at, said, ("atomic", "granular"))


def _check_type_for(
    props: Props, wanted: str, word: str, path: FieldPath, errors: FieldErrors
) -> bool:
    kind, text = props.get("type") or "", f"must be {wanted} if {word} is specified"
    if not kind:
        errors.required(path.child("type"), text)
    elif kind != wanted:
        errors.invalid(path.child("type"), kind, text)
    return kind == wanted


def _check_list_type(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    said, keys = props.get("x-kubernetes-list-type"), props.get("x-kubernetes-list-map-keys") or ()
    at = path.child("x-kubernetes-list-type")
    items = props.get("items") if isinstance(props.get("items"), dict) else None
    if said is not None:
        fits = _check_type_for(props, "array", "x-kubernetes-list-type", path, errors)
        if fits and said == "set" and items is not None:
            _check_set_items(items, path.child("items"), errors)
        if said not in ("atomic", "set", "map"):
            errors.not_supported(at, said, ("atomic", "set", "map"))
    if keys and said != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        if said is None:
            errors.required(at, text)
        else:
            errors.invalid(at, said, text)
    if said == "map":
        _check_map_list(items, list(keys), path, errors)
    if said in ("set", "map") and items is not None and items.get("nullable"):
        text = f"cannot be nullable when x-kubernetes-list-type is {said}"
        errors.forbidden(path.child("items").child("nullable"), text)


def _check_set_items(items: Props, path: FieldPath, errors: FieldErrors) -> None:
    text = "must be atomic as item of a list with x-kubernetes-list-type=set"
    kind, lists = items.get("type"), items.get("x-kubernetes-list-type")
    if kind == "array" and lists not in (None, "atomic"):
        errors.invalid(path.child("x-kubernetes-list-type"), lists, text)
    if kind == "object" and items.get("x-kubernetes-map-type") != "atomic":
        errors.invalid(path.child("x-kubernetes-map-type"), lists, text)


def _check_map_list(
    items: Props | None, keys: list[str], path: FieldPath, errors: FieldErrors
) -> None:
    at = path.child("x-kubernetes-list-map-keys")
    if not keys:
        errors.required(at, "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        text = "must have a schema if x-kubernetes-list-type is map"
        errors.required(path.child("items"), text)
        return
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        errors.invalid(path.child("items").child("type"), items.get("type") or "", text)
        return
    fields = items.get("properties") or {}
    again = repeated(keys)
    for index, key in enumerate(keys):
        if key not in fields:
            errors.invalid(at, keys, "entries must all be names of item properties")
        else:
            _check_map_key(items, key, path.child("items"), errors)
        if index in again:
            errors.invalid(at, keys, "must not contain duplicate entries")


def _check_map_key(items: Props, key: str, path: FieldPath, errors: FieldErrors) -> None:
    props, at = items["properties"][key], path.child("properties").key(key)
    if props.get("type") in ("array", "object"):
        text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
        errors.invalid(at.child("type"), items["type"], text)
    this = "this property is in x-kubernetes-list-map-keys, so it "
    if key not in (items.get("required") or ()) and props.get("default") is None:
        errors.required(at.child("default"), this + "must have a default or be a required property")
    if props.get("nullable"):
        errors.forbidden(at.child("nullable"), this + "cannot be nullable")


def _check_rules(props: Props, path: FieldPath, errors: FieldErrors) -> None:
    for index, said in enumerate(props.get("x-kubernetes-validations") or ()):
        at = path.child("x-kubernetes-validations").index(index)
        _check_rule_words(said, at, errors)
        reason, where = said.get("reason"), said.get("fieldPath") or ""
        if reason is not None and reason not in _REASONS:
            errors.not_supported(at.child("reason"), reason, _REASONS)
        if where and not where.strip():
            errors.invalid(at.child("fieldPath"), where, "fieldPath must be non-empty if specified")
        if _has_newlines(where):
            errors.invalid(at.child("fieldPath"), where, "fieldPath must not contain line breaks")
        if where and not _leads_somewhere(props, where):
            errors.invalid(at.child("fieldPath"), where, "fieldPath must be a valid path")


def _check_rule_words(said: Props, at: FieldPath, errors: FieldErrors) -> None:
    rule, message = (said.get("rule") or "").strip(), said.get("message") or ""
    if not rule:
        errors.required(at.child("rule"), "rule is not specified")
    elif message and not message.strip():
        errors.invalid(at.child("message"), message, "message must be non-empty if specified")
    elif _has_newlines(message.strip()):
        errors.invalid(at.child("message"), message, "message must not contain line breaks")
    elif _has_newlines(rule) and not message:
        text = "message must be specified if rule contains line breaks"
        errors.required(at.child("message"), text)
    expression = said.get("messageExpression") or ""
    if expression and not expression.strip():
        text = "messageExpression must be non-empty if specified"
        errors.required(at.child("messageExpression"), text)


def _has_newlines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _leads_somewhere(props: Props, path: str) -> bool:
    return find_field(props, path) is not None


def find_field(props: Props, path: str) -> Props | None:
    """The schema at a path such as ``.spec.x`` or ``.map['a.b']``; None where there is none."""
    steps = split_path(path)
    found: Any = props
    for step in steps or ():
        fields, additional = found.get("properties") or {}, found.get("additionalProperties")
        found = fields.get(step) if step in fields else additional
        if not isinstance(found, dict):
            return None
    return found if steps else None


def split_path(path: str) -> list[str] | None:
    """``.a.b['c.d']`` as its names; None where it is no such path."""
    steps, at = [], 0
    while at < len(path):
        if path.startswith("['", at):
            end = path.find("']", at)
            if end < 0:
                return None
            steps.append(path[at + 2 : end].replace("\\'", "'"))
            at = end + 2
            continue
        if path[at] != ".":
            return None
        stops = [i for i in (path.find(".", at + 1), path.find("[", at + 1)) if i > 0]
        end = min(stops, default=len(path))
        if end == at + 1:
            return None
        steps.append(path[at + 1 : end])
        at = end
    return steps
