"""What the server decides about an object before it is updated.

As apiserver registry/rest/update.go BeforeUpdate and the status strategies.
"""

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind

_KEPT = ("uid", "creationTimestamp", "generation", "selfLink")
_IDENTITY = ("apiVersion", "kind", "metadata", "status")


def check_identity(kind: Kind, obj: Obj, old: Obj) -> None:
    """The body may leave out name, namespace, uid and resourceVersion, but not contradict."""
    new_meta, old_meta = obj["metadata"], old["metadata"]
    name = old_meta["name"]
    if (given := new_meta.get("name")) and given != name:
        raise errors.BadRequest(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )
    if (space := new_meta.get("namespace")) and space != old_meta.get("namespace"):
        raise errors.BadRequest(
            f"the namespace of the object ({space}) does not match the namespace on the URL "
            f"({old_meta.get('namespace', '')})"
        )
    if (uid := new_meta.get("uid")) and uid != old_meta["uid"]:
        raise errors.Conflict.of(
            kind,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
            f"{old_meta['uid']}",
        )
    version = new_meta.get("resourceVersion")
    if version and version != "0" and version != old_meta["resourceVersion"]:
        raise errors.Conflict.of(kind, name)


def before_update(kind: Kind, obj: Obj, old: Obj) -> None:
    """Carries over, in place, what only the server may change; then the kind's own rules."""
    meta, old_meta = obj["metadata"], old["metadata"]
    for field in ("name", "namespace", *_KEPT, "deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in old_meta:
            meta[field] = old_meta[field]
        else:
            meta.pop(field, None)
    meta["resourceVersion"] = old_meta["resourceVersion"]
    if "status" in old and kind.has_status:
        obj["status"] = old["status"]
    kind.prepare(obj, old)
    if kind.generation and _spec_of(kind, obj) != _spec_of(kind, old):
        meta["generation"] = old_meta.get("generation", 0) + 1


def before_status_update(kind: Kind, obj: Obj, old: Obj) -> None:
    """A status write changes status, and of the metadata labels and annotations at most."""
    status = obj.get("status")
    meta = dict(old["metadata"])
    for field in ("labels", "annotations"):
        if field in obj["metadata"]:
            meta[field] = obj["metadata"][field]
        else:
            meta.pop(field, None)
    for field in [f for f in obj if f not in _IDENTITY]:
        del obj[field]
    obj.update({f: v for f, v in old.items() if f not in _IDENTITY})
    obj["metadata"] = meta
    if status is not None:
        obj["status"] = status
    kind.prepare_status(obj, old)


def _spec_of(kind: Kind, obj: Obj) -> Obj:
    """A custom object's status is as good as spec where it is no subresource."""
    counts_status = kind.custom and not kind.has_status
    return {f: v for f, v in obj.items() if f not in _IDENTITY or (f == "status" and counts_status)}


def is_released(obj: Obj) -> bool:
    """Being deleted, with nothing and nobody left that holds it: time to remove it."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not meta.get("deletionGracePeriodSeconds")
