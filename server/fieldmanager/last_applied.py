"""kubectl's annotation of what was last applied on the client side, on the way to the server side.

A user who goes over from ``kubectl apply`` to ``kubectl apply --server-side`` is not told of
conflicts with himself: fields that the annotation names, and that nobody changed since, may be
taken over. As long as the annotation is there it is kept true, so that the way back works too. As
apimachinery managedfields/internal lastappliedmanager.go and lastappliedupdater.go.
"""

import orjson

from edgek.api.meta import Obj
from edgek.schema.fieldset import Fields, difference
from edgek.schema.schema import Schema
from edgek.schema.typed import compare, extract

KUBECTL = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATIONS = 256 * 1024


def allowed_conflicts(live: Obj, schema: Schema, api_version: str) -> Fields:
    """Fields that the annotation says were applied, and that are so still."""
    text = _annotation(live)
    try:
        last = orjson.loads(text) if text else None
    except ValueError:
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != api_version:
        return {}
    try:
        named = extract(last, schema)
        seen = compare(last, live, schema)
    except TypeError:  # values that have no key: not of this schema
        return {}
    return difference(difference(difference(named, seen.modified), seen.added), seen.removed)


def with_last_applied(obj: Obj, config: Obj) -> Obj:
    """``obj`` with the annotation brought up to date, where it has one."""
    if not _annotation(obj):
        return obj
    meta = {**obj["metadata"]}
    annotations = {**meta["annotations"], ANNOTATION: _text(config)}
    if sum(len(k) + len(str(v)) for k, v in annotations.items()) > MAX_ANNOTATIONS:
        del annotations[ANNOTATION]
    return {**obj, "metadata": {**meta, "annotations": annotations}}


def _annotation(obj: Obj) -> str:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return annotations.get(ANNOTATION) or ""


def _text(config: Obj) -> str:
    meta = config.get("metadata") or {}
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != ANNOTATION}
    plain = {**config, "metadata": {k: v for k, v in meta.items() if k != "annotations"}}
    if annotations:
        plain["metadata"]["annotations"] = annotations
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode() + "\n"
