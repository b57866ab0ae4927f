"""Validation of volumes: one source each, and what that source needs.

As ValidateVolumes. Sources that are only served by storage drivers are passed as they are.
"""

from collections.abc import Callable, Iterator

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label
from edgek.kinds.checks import (
    check_enum,
    check_no_backsteps,
    check_path,
    check_quantity,
    check_range,
    check_required,
    check_rule,
)
from edgek.kinds.environment_validation import (
    VOLUME_FIELDS,
    validate_field_ref,
    validate_resource_ref,
)

HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate",
    "Socket",
)  # fmt: skip
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
LEAST_TOKEN_SECONDS = 600
MAX_TOKEN_SECONDS = 2**32
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def validate_volumes(volumes: list[Obj], path: FieldPath, errors: FieldErrors) -> dict[str, Obj]:
    """The volumes by name, for mounts to refer to."""
    found: dict[str, Obj] = {}
    for index, volume in enumerate(volumes):
        where, name = path.index(index), volume.get("name") or ""
        if not name:
            errors.required(where.child("name"))
        check_rule(name, is_dns1123_label, where.child("name"), errors)
        if name in found:
            errors.duplicate(where.child("name"), name)
        found[name] = volume
        _validate_source(volume, where, errors)
    return found


def _validate_source(volume: Obj, path: FieldPath, errors: FieldErrors) -> None:
    sources = [f for f, v in volume.items() if f != "name" and v is not None]
    if not sources:
        errors.required(path, "must specify a volume type")
    for extra in sources[1:]:
        errors.forbidden(path.child(extra), "may not specify more than 1 volume type")
    for source in sources[:1]:
        validate_source(source, volume[source], path.child(source), errors)


def validate_source(name: str, source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """One source, by the name of its field; nothing where that is a driver's own affair."""
    if validate := _SOURCES.get(name):
        validate(source, path, errors)


def _host_path(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("path",), path, errors)
    check_no_backsteps(source.get("path") or "", path.child("path"), errors)
    check_enum(source.get("type"), HOST_PATH_TYPES, path.child("type"), errors, required=False)


def _empty_dir(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if (limit := source.get("sizeLimit")) is not None:
        check_quantity(limit, path.child("sizeLimit"), errors)


def _nfs(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("server", "path"), path, errors)
    if source.get("path") and not source["path"].startswith("/"):
        errors.invalid(path.child("path"), source["path"], "must be an absolute path")


def _secret(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("secretName",), path, errors)
    _with_items(source, path, errors)


def _config_map(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("name",), path, errors)
    _with_items(source, path, errors)


def _with_items(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    _mode(source, "defaultMode", path, errors)
    for index, item in enumerate(source.get("items") or ()):
        where = path.child("items").index(index)
        check_required(item, ("key", "path"), where, errors)
        _file(item, where, errors)


def _file(item: Obj, path: FieldPath, errors: FieldErrors) -> None:
    target = item.get("path") or ""
    check_path(target, path.child("path"), errors)
    if target.startswith("..") and target != ".." and not target.startswith("../"):
        errors.invalid(path.child("path"), target, "must not start with '..'")
    _mode(item, "mode", path, errors)


def _mode(source: Obj, field: str, path: FieldPath, errors: FieldErrors) -> None:
    mode = source.get(field)
    if mode is not None and not 0 <= mode <= 0o777:
        errors.invalid(path.child(field), mode, _MODE)


def _downward(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    _mode(source, "defaultMode", path, errors)
    _downward_items(source, path, errors)


def _downward_items(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for index, item in enumerate(source.get("items") or ()):
        where = path.child("items").index(index)
        check_required(item, ("path",), where, errors)
        _file(item, where, errors)
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None:
            validate_field_ref(field, VOLUME_FIELDS, where.child("fieldRef"), errors)
            if resource is not None:
                text = "fieldRef and resourceFieldRef can not be specified simultaneously"
                errors.invalid(where, "resource", text)
        elif resource is not None:
            validate_resource_ref(resource, where.child("resourceFieldRef"), errors, volume=True)
        else:
            errors.required(where, "one of fieldRef and resourceFieldRef is required")


def _projected(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    _mode(source, "defaultMode", path, errors)
    for index, part in enumerate(source.get("sources") or ()):
        where = path.child("sources").index(index)
        found = [f for f, v in part.items() if v is not None]
        for extra in found[1:]:
            text = "may not specify more than 1 volume type"
            errors.forbidden(where.child(extra), text)
        for name in found[:1]:
            _projection(name, part[name], where.child(name), errors)
    taken: set[str] = set()
    for target, shown in _projected_paths(source):
        if target in taken:
            errors.invalid(path, shown, "conflicting duplicate paths")
        taken.add(target)


def _projected_paths(source: Obj) -> Iterator[tuple[str, str]]:
    """Where files go whose places are named, and what an error shows for each."""
    for part in source.get("sources") or ():
        for name, own in part.items():
            for item in (own or {}).get("items") or ():
                if target := item.get("path"):
                    yield target, target if name == "downwardAPI" else own.get("name", "")
            if target := (own or {}).get("path"):
                yield target, target


def _projection(name: str, part: Obj, path: FieldPath, errors: FieldErrors) -> None:
    match name:
        case "secret" | "configMap":
            _config_map(part, path, errors)
        case "downwardAPI":
            _downward_items(part, path, errors)
        case "serviceAccountToken":
            _token(part, path, errors)


def _token(part: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(part, ("path",), path, errors)
    _file(part, path, errors)
    seconds, where = part.get("expirationSeconds"), path.child("expirationSeconds")
    if seconds is not None and seconds < LEAST_TOKEN_SECONDS:
        errors.invalid(where, seconds, "may not specify a duration less than 10 minutes")
    elif seconds is not None and seconds > MAX_TOKEN_SECONDS:
        errors.invalid(where, seconds, "may not specify a duration larger than 2^32 seconds")


def _claim(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("claimName",), path, errors)


def _csi(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("driver",), path, errors)


def _image(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("reference",), path, errors)
    check_enum(
        source.get("pullPolicy"), PULL_POLICIES, path.child("pullPolicy"), errors, required=False
    )


def _iscsi(source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(source, ("targetPortal", "iqn"), path, errors)
    check_range(source.get("lun"), 0, 255, path.child("lun"), errors)


_SOURCES: dict[str, Callable[[Obj, FieldPath, FieldErrors], None]] = {
    "hostPath": _host_path,
    "emptyDir": _empty_dir,
    "nfs": _nfs,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "projected": _projected,
    "persistentVolumeClaim": _claim,
    "csi": _csi,
    "image": _image,
    "iscsi": _iscsi,
}
