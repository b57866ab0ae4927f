"""What a PersistentVolume is made of: one source, checked as upstream's validation does.

As the second half of ValidatePersistentVolumeSpec. Sources of drivers that are gone from
upstream are still accepted; of them only what is required is looked at.
"""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_no_backsteps, check_required
from edgek.kinds.storage_checks import check_driver_name
from edgek.kinds.volume_validation import validate_source

REQUIRED = {
    "hostPath": (),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "glusterfs": ("endpoints", "path"),
    "flocker": (),
    "nfs": (),
    "rbd": ("monitors", "image"),
    "quobyte": ("registry", "volume"),
    "cephfs": ("monitors",),
    "iscsi": (),
    "cinder": ("volumeID",),
    "fc": (),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "local": ("path",),
    "storageos": (),
    "csi": (),
}
"""Fields that a source must have, in upstream's order of sources; where there are none, they are
checked by code of its own."""
SHARED_WITH_PODS = ("hostPath", "nfs", "iscsi")
SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def sources_of(spec: Obj) -> dict[str, Obj]:
    return {name: spec[name] for name in REQUIRED if spec.get(name) is not None}


def validate_sources(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    found = list(sources_of(spec).items())
    if not found:
        errors.required(path, "must specify a volume type")
    for name, source in found[:1]:
        check_required(source, REQUIRED[name], path.child(name), errors)
        _validate_one(name, source, path.child(name), errors)
    for name, _ in found[1:]:
        errors.forbidden(path.child(name), "may not specify more than 1 volume type")


def _validate_one(name: str, source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if name in SHARED_WITH_PODS:
        validate_source(name, source, path, errors)
    elif name == "csi":
        _validate_csi(source, path, errors)
    elif name == "local":
        check_no_backsteps(source.get("path") or "", path.child("path"), errors)
    elif name == "fc":
        _validate_fc(source, path, errors)


def _validate_csi(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_driver_name(source.get("driver"), path.child("driver"), errors)
    check_required(source, ("volumeHandle",), path, errors)
    for field in SECRETS:
        if (ref := source.get(field)) is not None:
            check_required(ref, ("name", "namespace"), path.child(field), errors)


def _validate_fc(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    names, ids = source.get("targetWWNs") or [], source.get("wwids") or []
    if not names and not ids:
        text = "must specify either targetWWNs or wwids, but not both"
        errors.required(path.child("targetWWNs"), text)
    elif names and ids:
        text = "targetWWNs and wwids can not be specified simultaneously"
        errors.invalid(path.child("targetWWNs"), names, text)
    elif names and source.get("lun") is None:
        errors.required(path.child("lun"), "lun is required if targetWWNs is specified")
