"""VolumeAttachment: that a driver is to attach a volume to a node."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.checks import MAX_INT32, check_range
from edgek.kinds.columns import cell
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.persistent_volume_validation import validate_inline_volume
from edgek.kinds.storage_checks import GROUP, check_driver_name
from edgek.kinds.strategy import keep_status, only_status

SPEC = FieldPath("spec")
STATUS_PATH = FieldPath("status")
MAX_METADATA = 256 * 1024
MAX_MESSAGE = 1024
_ONE_OF = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def _prepare(obj: Obj, old: Obj | None) -> None:
    keep_status(obj, old)
    if old is None:
        obj["status"] = {"attached": False}


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    check_driver_name(spec.get("attacher"), SPEC.child("attacher"), errors)
    _validate_source(spec.get("source") or {}, SPEC.child("source"), errors)
    node = spec.get("nodeName") or ""
    for problem in is_dns1123_subdomain(node):
        errors.invalid(SPEC.child("nodeName"), node, problem)
    _validate_status(obj.get("status") or {}, errors)


def _validate_source(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    where = path.child("persistentVolumeName")
    if name is None and inline is None:
        errors.required(path, _ONE_OF)
    elif name is not None and inline is not None:
        errors.forbidden(path, _ONE_OF)
    elif inline is not None:
        validate_inline_volume(inline, path.child("inlineVolumeSpec"), errors)
    elif not name:
        errors.required(where, "must specify non empty persistentVolumeName")
    else:
        for problem in is_dns1123_subdomain(name):
            errors.invalid(where, name, problem)


def _validate_status(status: Obj, errors: FieldErrors) -> None:
    found = status.get("attachmentMetadata") or {}
    if sum(len(k) + len(v) for k, v in found.items()) > MAX_METADATA:
        errors.too_long(STATUS_PATH.child("attachmentMetadata"), MAX_METADATA)
    for field in ("attachError", "detachError"):
        problem, path = status.get(field) or {}, STATUS_PATH.child(field)
        if len(problem.get("message") or "") > MAX_MESSAGE:
            errors.too_long(path.child("message"), MAX_METADATA)  # as upstream says it
        check_range(problem.get("errorCode"), 0, MAX_INT32, path.child("errorCode"), errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("spec"), old.get("spec"), SPEC, errors)


VOLUME_ATTACHMENT = Kind(
    group=GROUP,
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    columns=(
        NAME,
        Column(name="Attacher", read=cell("spec", "attacher"), description="The driver."),
        Column(
            name="PV",
            read=cell("spec", "source", "persistentVolumeName", default=""),
            description="The volume.",
        ),
        Column(name="Node", read=cell("spec", "nodeName"), description="The node."),
        Column(
            name="Attached",
            read=lambda obj: bool(get_path(obj, "status", "attached")),
            type="boolean",
            description="Whether it is done.",
        ),
        AGE,
    ),
    subresources=(STATUS,),
    prepare=_prepare,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": "csi-0a1b2c"},
        "spec": {
            "attacher": "disks.example.com",
            "nodeName": "worker-1",
            "source": {"persistentVolumeName": "disk-1"},
        },
    },
)
