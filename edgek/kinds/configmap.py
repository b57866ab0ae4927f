"""ConfigMap: non-secret configuration that pods read as files or variables."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.data import check_keys, check_size, validate_immutable
from edgek.kinds.kind import AGE, NAME, Column, Kind

FIELDS = ("data", "binaryData")


def _count(obj: Obj) -> int:
    return sum(len(obj.get(field) or ()) for field in FIELDS)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As ValidateConfigMap: keys are file names, no key twice, one MiB in all."""
    texts, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    check_keys(texts, FieldPath("data"), errors)
    check_keys(binary, FieldPath("binaryData"), errors)
    for key in sorted(texts.keys() & binary.keys()):
        errors.invalid(FieldPath("data").key(key), key, "duplicate of key present in binaryData")
    size = sum(len(v.encode()) for v in texts.values())
    check_size(size, binary, errors)


CONFIG_MAP = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
    columns=(
        NAME,
        Column(name="Data", read=_count, description="How many keys there are."),
        AGE,
    ),
    validate=_validate,
    validate_update=lambda new, old, errors: validate_immutable(new, old, FIELDS, errors),
    example={
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"},
        "data": {"greeting": "hello"},
    },
)
