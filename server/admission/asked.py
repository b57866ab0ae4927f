"""What an operation is about and who asks, as AdmissionReview and CEL's ``request`` say it."""

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind


def object_type(kind: Kind, subresource: str) -> Obj:
    """GroupVersionKind of what the request is about: a subresource may have its own."""
    for sub in kind.subresources:
        if sub.name == subresource and sub.kind:
            version = sub.version or kind.version
            return {"group": sub.group, "version": version, "kind": sub.kind}
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def resource_type(kind: Kind) -> Obj:
    """GroupVersionResource."""
    return {"group": kind.group, "version": kind.version, "resource": kind.plural}
