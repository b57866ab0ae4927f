"""A kind without words of its own, field by field; and the head that every kind has."""

import re
from typing import Any

from edgek.api.meta import Obj, controller_of, get_path
from edgek.cli.description.layout import NONE, Fields, Value, pairs_text

_HIDDEN = ("managedFields", "labels", "annotations", "name", "namespace", "uid",
           "resourceVersion", "generation", "selfLink")  # fmt: skip
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def head(obj: Obj) -> list[tuple[str, Value]]:
    meta = obj["metadata"]
    shown = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
    where: list[tuple[str, Value]] = [("Name", meta["name"])]
    if meta.get("namespace"):
        where.append(("Namespace", meta["namespace"]))
    return [
        *where,
        ("Labels", pairs_text(meta.get("labels"))),
        ("Annotations", pairs_text(shown, joint=": ")),
    ]


def controlled_by(obj: Obj) -> list[tuple[str, Value]]:
    owner = controller_of(obj)
    return [("Controlled By", f"{owner['kind']}/{owner['name']}")] if owner else []


def describe_any(obj: Obj) -> Fields:
    meta = {k: v for k, v in obj["metadata"].items() if k not in _HIDDEN}
    rest = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    return Fields(
        [
            *head(obj),
            ("API Version", obj.get("apiVersion", "")),
            ("Kind", obj.get("kind", "")),
            ("Metadata", _fields(meta)),
            *_pairs(rest),
        ]
    )


def describe_secret(obj: Obj) -> Fields:
    """Names and sizes: a description is shown over shoulders and pasted into tickets."""
    import base64

    data = obj.get("data") or {}
    sizes = [(k, f"{len(base64.b64decode(v or ''))} bytes") for k, v in sorted(data.items())]
    return Fields(
        [*head(obj), ("Type", get_path(obj, "type", default=NONE)), ("Data", Fields(sizes))]
    )


def _fields(mapping: Obj) -> Fields:
    return Fields(_pairs(mapping))


def _pairs(mapping: Obj) -> list[tuple[str, Value]]:
    return [(_label(k), _value(v)) for k, v in sorted(mapping.items()) if v not in (None, {}, [])]


def _value(value: Any) -> Value:
    if isinstance(value, dict):
        return _fields(value)
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).splitlines() or ""


def _list(values: list[Any]) -> Value:
    if any(isinstance(v, dict | list) for v in values):
        pairs = [pair for v in values for pair in (_pairs(v) if isinstance(v, dict) else [])]
        return Fields(pairs)
    return [str(v) for v in values]


def _label(name: str) -> str:
    """``creationTimestamp`` as ``Creation Timestamp``; keys of maps as they are."""
    if not re.fullmatch(r"[a-z][a-zA-Z]*", name):
        return name
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return words[0].upper() + words[1:]
