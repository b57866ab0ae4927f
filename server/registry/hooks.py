"""What a write of one kind does beyond its own object.

A hook reserves before the write and gives back the way to undo it, because a write may still
be refused, be a dry run, or lose a race.
"""

from collections.abc import Callable
from typing import Protocol

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.request.model import User

Undo = Callable[[], None]


def nothing() -> None:
    """The undo of a reservation that took nothing."""


class Hook(Protocol):
    kind: Kind

    def reserve(self, obj: Obj, old: Obj | None, user: User) -> Undo:
        """Completes ``obj`` in place before validation. Raises Invalid. Called on create
        (``old`` None) and on updates of the main resource."""

    def written(self, obj: Obj, old: Obj | None) -> None:
        """The write is durable."""

    def removed(self, obj: Obj) -> None:
        """The object is gone."""


class RequesterHook:
    """A CertificateSigningRequest records who asked, so that signers need not believe it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def reserve(self, obj: Obj, old: Obj | None, user: User) -> Undo:
        spec = obj.setdefault("spec", {})
        for field in ("username", "uid", "groups", "extra"):
            spec.pop(field, None)
        source = (old or {}).get("spec")
        spec |= (
            {f: source[f] for f in ("username", "uid", "groups", "extra") if f in source}
            if source
            else _asker(user)
        )
        return nothing

    def written(self, obj: Obj, old: Obj | None) -> None:
        pass

    def removed(self, obj: Obj) -> None:
        pass


def _asker(user: User) -> Obj:
    asker: Obj = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        asker["uid"] = user.uid
    if user.extra:
        asker["extra"] = {k: list(v) for k, v in user.extra.items()}
    return asker
