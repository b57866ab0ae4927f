"""What the protection of claims and of volumes share: when their finalizer goes on and off."""

from contextlib import suppress

from edgek.api.errors import NotFound
from edgek.api.meta import Obj, is_deleting, key_of, resource_version
from edgek.client.client import Client
from edgek.kinds.kind import Kind
from edgek.kinds.protection import PROTECTION
from server.controllers.garbage_plan import finalizers, without_finalizer


def plan_finalizers(obj: Obj, finalizer: str, *, in_use: bool) -> list[str] | None:
    """The finalizers it should have; None where it has them."""
    protected = finalizer in finalizers(obj)
    if is_deleting(obj):
        return without_finalizer(obj, finalizer) if protected and not in_use else None
    return None if protected else [*finalizers(obj), finalizer]


async def protect(client: Client, kind: Kind, obj: Obj, *, in_use: bool) -> None:
    """Changes exactly the version seen."""
    wanted = plan_finalizers(obj, PROTECTION[kind], in_use=in_use)
    if wanted is None:
        return
    meta = {"finalizers": wanted, "resourceVersion": resource_version(obj)}
    with suppress(NotFound):
        await client.patch(kind, key_of(obj), {"metadata": meta})
