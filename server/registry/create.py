"""What the server decides about an object before it is created.

As apiserver registry/rest/create.go BeforeCreate and names.SimpleNameGenerator.
"""

import secrets
from typing import Any

from edgek.api import errors
from edgek.api.meta import Key, Obj
from edgek.kinds.kind import Kind

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_BASE = 63 - 5


def random_suffix() -> str:
    """Five characters without vowels, so that no name says something."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def generate_name(base: str, suffix: str) -> str:
    return base[:_MAX_BASE] + suffix


def check_namespace(kind: Kind, meta: dict[str, Any], namespace: str) -> None:
    """The body's namespace may be left out, but not differ from the URL's."""
    if not kind.namespaced:
        if meta.pop("namespace", ""):
            raise errors.BadRequest("namespace is not allowed on this type")
        return
    given = meta.get("namespace") or namespace
    if not namespace:
        raise errors.BadRequest("an empty namespace may not be set during creation")
    if given != namespace:
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    meta["namespace"] = namespace


def check_new_identity(kind: Kind, obj: Obj, key: Key) -> None:
    """What an applied body may not say where nothing of its name is there. As handlers/patch.go
    applyPatch and checkName."""
    meta = obj["metadata"]
    if uid := meta.get("uid"):
        raise errors.Conflict.of(
            kind,
            key.name,
            f"uid mismatch: the provided object specified uid {uid}, and no existing object was "
            "found",
        )
    name = meta.get("name")
    if not name:
        raise errors.BadRequest(
            f"the name of the object ({key.name} based on URL) was undeterminable: name must be "
            "provided"
        )
    if name != key.name:
        raise errors.BadRequest(
            f"the name of the object ({name}) does not match the name on the URL ({key.name})"
        )


def before_create(kind: Kind, obj: Obj, *, now: str, uid: str) -> None:
    """Stamps ``obj``'s metadata in place; what only the server may set is taken away first."""
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise errors.BadRequest("resourceVersion should not be set on objects to be created")
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(field, None)
    meta.pop("resourceVersion", None)
    meta["uid"] = uid
    meta["creationTimestamp"] = now
    if kind.generation:
        meta["generation"] = 1
    else:
        meta.pop("generation", None)
    kind.prepare(obj, None)
