"""The kinds that CustomResourceDefinitions add, for control loops that are about all kinds.

One informer of definitions serves them all and keeps what names a kind, not its schema. Custom
objects themselves are watched by whoever needs them, by their metadata alone where that is enough.
"""

from collections.abc import Callable

from edgek.api.meta import Obj, annotations, name
from edgek.control.informer import Informer, Informers, Keep, whole
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.built_in import is_built_in
from edgek.kinds.crd_status import APPROVAL
from edgek.kinds.custom import kinds_of
from edgek.kinds.kind import Kind

_NAMING = ("name", "served", "storage")


def trimmed(crd: Obj) -> Obj:
    """What says which kinds there are."""
    spec, slim = crd["spec"], metadata_only(crd)
    versions = [{k: v[k] for k in _NAMING if k in v} for v in spec["versions"]]
    if APPROVAL in annotations(crd):
        slim["metadata"]["annotations"] = {APPROVAL: annotations(crd)[APPROVAL]}
    return {**slim, "spec": {**spec, "versions": versions}, "status": crd.get("status") or {}}


def metadata_only(obj: Obj) -> Obj:
    """Who it is and what it hangs on."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields", "annotations")}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta}


def keep_for(kind: Kind) -> Keep:
    return trimmed if kind == CRD else whole


def definitions(informers: Informers) -> Informer:
    """The one informer of definitions."""
    return informers.get(CRD, keep=trimmed)


def kind_of(crd: Obj) -> Kind | None:
    """The one version of a definition that control loops speak: what is stored, if it is served.
    None where it is not served at all."""
    kinds = [k for k in kinds_of(crd) if not is_built_in(k.group, k.plural)]
    stored = [v["name"] for v in crd["spec"]["versions"] if v.get("storage")]
    return next((k for k in kinds if k.version in stored), kinds[0] if kinds else None)


class CustomKinds:
    """``all`` is what there is now."""

    def __init__(self, informers: Informers) -> None:
        self._definitions = definitions(informers)

    async def wait_synced(self) -> None:
        await self._definitions.wait_synced()

    def all(self) -> list[Kind]:
        found = (kind_of(crd) for crd in self._definitions.list())
        return [kind for kind in found if kind is not None]

    def follow(self, *, added: Callable[[Kind], None], removed: Callable[[Kind], None]) -> None:
        """Calls at once for the kinds there are, then as they come and go."""
        known: dict[str, Kind] = {}

        def changed(old: Obj | None, new: Obj | None) -> None:
            crd = new if new is not None else old
            assert crd is not None
            before, now = known.get(name(crd)), kind_of(crd) if new is not None else None
            if before == now:
                return
            if before is not None:
                del known[name(crd)]
                removed(before)
            if now is not None:
                known[name(crd)] = now
                added(now)

        self._definitions.on_change(changed)
