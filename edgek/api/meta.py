"""Readers of object metadata: names, labels, owners, finalizers, keys.

Objects are wire-shaped dicts everywhere; nothing here copies or mutates what it is given.
"""

import copy
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

Obj = dict[str, Any]
"""One API object as on the wire: apiVersion, kind, metadata, spec, status..."""


class Key(NamedTuple):
    """Names an object within its kind; ``namespace`` is "" for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Mapping[str, Any]) -> Key:
    meta = obj["metadata"]
    return Key(meta.get("namespace") or "", meta["name"])


def name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["name"])


def namespace(obj: Mapping[str, Any]) -> str:
    return obj["metadata"].get("namespace") or ""


def uid(obj: Mapping[str, Any]) -> str:
    return obj["metadata"].get("uid") or ""


def resource_version(obj: Mapping[str, Any]) -> str:
    return obj["metadata"].get("resourceVersion") or ""


def generation(obj: Mapping[str, Any]) -> int:
    return obj["metadata"].get("generation") or 0


def labels(obj: Mapping[str, Any]) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations(obj: Mapping[str, Any]) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def is_deleting(obj: Mapping[str, Any]) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def owner_references(obj: Mapping[str, Any]) -> list[Obj]:
    return obj["metadata"].get("ownerReferences") or []


def controller_of(obj: Mapping[str, Any]) -> Obj | None:
    """The owner reference marked ``controller: true``, of which there is at most one."""
    return next((r for r in owner_references(obj) if r.get("controller")), None)


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    ref = controller_of(obj)
    return ref is not None and ref.get("uid") == uid(owner)


def owner_reference(owner: Mapping[str, Any], *, controller: bool = True) -> Obj:
    """A reference to put on a dependent, as metav1.NewControllerRef."""
    ref: Obj = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
    }
    if controller:
        ref |= {"controller": True, "blockOwnerDeletion": True}
    return ref


def get_path(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Walks dicts and lists; ``default`` where a step is missing or of another shape."""
    for step in path:
        try:
            obj = obj[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if obj is None else obj


def with_path(obj: Obj, path: tuple[str, ...], value: Any) -> Obj:
    """A copy of ``obj`` with ``value`` at ``path``; only the dicts on the way are copied."""
    head, *rest = path
    inner = with_path(obj.get(head) or {}, tuple(rest), value) if rest else value
    return {**obj, head: inner}


def deep_copy(obj: Obj) -> Obj:
    """An independent copy to mutate; cached and shared objects must never be mutated."""
    return copy.deepcopy(obj)


def hash_of(value: str, *, length: int = 10) -> str:
    """A short, stable, vowel-free name part for ``value`` (upstream: rand.SafeEncodeString)."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    number = int.from_bytes(hashlib.sha256(value.encode()).digest()[:12], "big")
    out = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        out.append(alphabet[digit])
    return "".join(out)
