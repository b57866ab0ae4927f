"""What admission knows of volumes and claims: default classes, growth, and protection in use.

As plugin/pkg/admission/storage/storageclass/setdefault, .../persistentvolume/resize and
.../storageobjectinuseprotection; the finalizers are taken off by
server/controllers/pvc_protection.py and pv_protection.py.
"""

from edgek.api.meta import Key, get_path
from edgek.api.quantity import parse_quantity
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM
from edgek.kinds.protection import PROTECTION
from edgek.kinds.quota_usage import CLASS_ANNOTATION, claim_class
from edgek.kinds.storage_class import BETA_DEFAULT_CLASS, DEFAULT_CLASS, STORAGE_CLASS
from server.admission.chain import Attributes
from server.admission.default_class import DefaultClasses
from server.admission.refusal import forbidden
from server.request.reader import Reader


class DefaultStorageClass:
    """A claim that names no class, not even "", gets the default one."""

    kinds = (PERSISTENT_VOLUME_CLAIM,)

    def __init__(self, reader: Reader) -> None:
        self._classes = DefaultClasses(reader, STORAGE_CLASS, (DEFAULT_CLASS, BETA_DEFAULT_CLASS))

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.operation != "CREATE" or a.subresource:
            return
        spec = a.obj.setdefault("spec", {})
        noted = CLASS_ANNOTATION in (a.obj["metadata"].get("annotations") or {})
        if noted or spec.get("storageClassName") is not None:
            return
        if default := self._classes.name():
            spec["storageClassName"] = default

    async def validate(self, attributes: Attributes) -> None:
        """A claim without a class is fine."""


class StorageObjectInUseProtection:
    """Volumes and claims begin with the finalizer that keeps them while they are in use."""

    kinds = tuple(PROTECTION)

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.operation != "CREATE" or a.subresource:
            return
        finalizers = a.obj["metadata"].get("finalizers") or []
        if PROTECTION[a.kind] not in finalizers:
            a.obj["metadata"]["finalizers"] = [*finalizers, PROTECTION[a.kind]]

    async def validate(self, attributes: Attributes) -> None:
        """The controller adds what is missing."""


class PersistentVolumeClaimResize:
    """Only bound claims of classes that allow it grow."""

    kinds = (PERSISTENT_VOLUME_CLAIM,)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def admit(self, attributes: Attributes) -> None:
        """Changes nothing."""

    async def validate(self, attributes: Attributes) -> None:
        a = attributes
        if a.operation != "UPDATE" or a.subresource or a.old is None or not _grows(a):
            return
        if get_path(a.old, "status", "phase") != "Bound":
            raise forbidden(a, "Only bound persistent volume claims can be expanded")
        of = claim_class(a.obj)
        found = self._reader.get(STORAGE_CLASS, Key("", of)) if of == claim_class(a.old) else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise forbidden(
                a,
                "only dynamically provisioned pvc can be resized and the storageclass that "
                "provisions the pvc must support resize",
            )


def _grows(a: Attributes) -> bool:
    path = ("spec", "resources", "requests", "storage")
    new, old = (parse_quantity(get_path(o, *path, default="0")) for o in (a.obj, a.old))
    return new > old
