"""Service account controller: each active namespace has a ServiceAccount ``default``.

As pkg/controller/serviceaccount: made again when somebody deletes it, otherwise left alone.
"""

from collections.abc import Sequence
from contextlib import suppress

from edgek.api.errors import AlreadyExists, NotFound
from edgek.api.meta import Key, Obj, get_path, name, namespace
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import NAMESPACE, SERVICE_ACCOUNT

DEFAULT = "default"


def build(context: Context) -> "ServiceAccountController":
    return ServiceAccountController(context)


def is_active(obj: Obj | None) -> bool:
    """A namespace that is going away must not be given new objects."""
    return (
        obj is not None
        and not obj["metadata"].get("deletionTimestamp")
        and get_path(obj, "status", "phase", default="Active") == "Active"
    )


def of_namespace(named: str, obj: Obj) -> list[Key]:
    """The namespace's key, for changes of the object named so in it."""
    return [Key("", namespace(obj))] if name(obj) == named else []


class ServiceAccountController:
    name = "serviceaccount-controller"
    kind = NAMESPACE

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces = context.informers.get(NAMESPACE)
        self._accounts = context.informers.get(SERVICE_ACCOUNT)
        self.watches: Sequence[Watch] = (
            ForKind(NAMESPACE),
            Mapped(SERVICE_ACCOUNT, lambda obj: of_namespace(DEFAULT, obj)),
        )

    async def reconcile(self, key: Key) -> Result:
        where = Key(key.name, DEFAULT)
        if is_active(self._namespaces.get(key)) and self._accounts.get(where) is None:
            meta = {"name": DEFAULT, "namespace": key.name}
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
            with suppress(AlreadyExists, NotFound):  # NotFound: the namespace went meanwhile
                await self._client.create(SERVICE_ACCOUNT, account)
        return DONE
