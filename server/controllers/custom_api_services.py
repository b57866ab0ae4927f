"""API services of custom kinds: each group-version that a CustomResourceDefinition serves has a
local APIService, so that clients see one list of all APIs.

As kube-aggregator pkg/controllers/autoregister with the crdRegistrationController. Those of the
built-in kinds are made at start (server/bootstrap.py).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from edgek.api.conditions import is_true
from edgek.api.errors import AlreadyExists, NotFound
from edgek.api.meta import Key, Obj, get_path, labels
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import API_SERVICE, CUSTOM_RESOURCE_DEFINITION
from edgek.kinds.api_service import AUTO_MANAGED, local_api_service
from server.controllers.custom_kinds import definitions


def served_by(crd: Obj) -> Iterable[tuple[str, str]]:
    """Group and version of each version that is served."""
    for version in get_path(crd, "spec", "versions", default=()):
        if version.get("served"):
            yield crd["spec"].get("group") or "", version.get("name") or ""


def _names(crd: Obj) -> Iterable[Key]:
    return [Key("", f"{version}.{group}") for group, version in served_by(crd)]


def build(context: Context) -> "CustomApiServices":
    return CustomApiServices(context)


class CustomApiServices:
    name = "crd-autoregister-controller"
    kind = API_SERVICE

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._api_services = context.informers.get(API_SERVICE)
        self._definitions = definitions(context.informers)
        self.watches: Sequence[Watch] = (
            Mapped(CUSTOM_RESOURCE_DEFINITION, _names),
            ForKind(API_SERVICE, when=_is_managed),
        )

    async def reconcile(self, key: Key) -> Result:
        found = self._api_services.get(key)
        wanted = self._wanted(key)
        if found is None:
            if wanted is not None:
                with suppress(AlreadyExists):
                    await self._client.create(API_SERVICE, wanted)
        elif not _is_managed(None, found):
            return DONE  # somebody's own: it stays as it is
        elif wanted is None:
            with suppress(NotFound):
                await self._client.delete(API_SERVICE, key)
        elif found["spec"] != wanted["spec"]:
            await self._client.update(API_SERVICE, {**found, "spec": wanted["spec"]})
        return DONE

    def _wanted(self, key: Key) -> Obj | None:
        for crd in self._definitions.list():
            if not is_true(get_path(crd, "status", "conditions"), "Established"):
                continue
            for group, version in served_by(crd):
                if key.name == f"{version}.{group}":
                    return local_api_service(group, version, managed="true")
        return None


def _is_managed(old: Obj | None, new: Obj | None) -> bool:
    return any(labels(o).get(AUTO_MANAGED) == "true" for o in (old, new) if o is not None)
