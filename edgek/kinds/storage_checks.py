"""What the kinds of storage.k8s.io and the persistent volumes share."""

from collections.abc import Mapping
from typing import Any

from edgek.api.meta import Obj, annotations, is_deleting, name
from edgek.api.quantity import parse_quantity
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain, is_qualified_name
from edgek.kinds.checks import check_quantity, check_rule
from edgek.kinds.kind import NAME, Column

GROUP = "storage.k8s.io"
ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
UNSET = "<unset>"
MAX_PARAMETERS = 512
MAX_PARAMETERS_BYTES = 256 * 1024
MAX_DRIVER_NAME = 63
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def check_provisioner(value: str, path: FieldPath, errors: FieldErrors) -> None:
    if not value:
        errors.required(path)
    else:
        for problem in is_qualified_name(value.lower()):
            errors.invalid(path, value, problem)


def check_parameters(
    found: Mapping[str, str] | None, path: FieldPath, errors: FieldErrors, *, required: bool = False
) -> None:
    """Names and values that are handed to a driver as they are."""
    parameters = found or {}
    if len(parameters) > MAX_PARAMETERS:
        errors.too_long(path, MAX_PARAMETERS)
        return
    if "" in parameters:
        errors.invalid(path, "", "field can not be empty.")
    if sum(len(k) + len(v or "") for k, v in parameters.items()) > MAX_PARAMETERS_BYTES:
        errors.too_long(path, MAX_PARAMETERS_BYTES)
    if required and not parameters:
        errors.required(path, "must contain at least one key/value pair")


def check_driver_name(driver: str | None, path: FieldPath, errors: FieldErrors) -> None:
    """As ValidateCSIDriverName."""
    if not driver:
        errors.required(path)
        return
    if len(driver) > MAX_DRIVER_NAME:
        errors.too_long(path, MAX_DRIVER_NAME)
    check_rule(driver.lower(), is_dns1123_subdomain, path, errors)


def check_class_name(value: str | None, path: FieldPath, errors: FieldErrors) -> None:
    check_rule(value, is_dns1123_subdomain, path, errors)


def check_access_modes(modes: list[str], path: FieldPath, errors: FieldErrors) -> None:
    for mode in modes:
        if mode not in ACCESS_MODES:
            errors.not_supported(path, mode, ACCESS_MODES)
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def check_volume_mode(mode: Any, path: FieldPath, errors: FieldErrors) -> None:
    if mode is not None and mode not in VOLUME_MODES:
        errors.not_supported(path, mode, VOLUME_MODES)


def check_positive(amount: str, path: FieldPath, errors: FieldErrors) -> None:
    """As validateBasicResource and ValidatePositiveQuantityValue."""
    if check_quantity(amount, path, errors) == 0:
        errors.invalid(path, amount, "must be greater than zero")


def amount_of(resources: Obj | None) -> int:
    """The bytes of storage in a ResourceList; 0 where it has none."""
    found = (resources or {}).get("storage")
    return 0 if found is None else int(parse_quantity(found))


def check_kept(new: Obj, old: Obj, field: str, errors: FieldErrors) -> None:
    """Classes say what they are once and for all."""
    if (new.get(field) or None) != (old.get(field) or None):
        errors.forbidden(FieldPath(field), f"updates to {field} are forbidden.")


def access_modes(modes: list[str] | None) -> str:
    """``RWO,RWX``, in the order of helper.GetAccessModesAsString."""
    return ",".join(short for mode, short in _SHORT_MODES.items() if mode in (modes or ()))


def phase(obj: Obj) -> str:
    return "Terminating" if is_deleting(obj) else str((obj.get("status") or {}).get("phase") or "")


def class_of(obj: Obj) -> str:
    """The class's name, as it was said by an annotation once."""
    old = annotations(obj).get(BETA_CLASS)
    return old if old is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def name_and_default(*marks: str) -> Column:
    """``fast (default)``: the name, and whether one of the annotations makes it the default."""

    def read(obj: Obj) -> str:
        is_default = any(annotations(obj).get(mark) == "true" for mark in marks)
        return name(obj) + (" (default)" if is_default else "")

    return Column(name="Name", read=read, format="name", description=NAME.description)
