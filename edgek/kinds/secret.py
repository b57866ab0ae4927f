"""Secret: confidential data that pods read as files or variables."""

import base64
import json

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.columns import cell, count
from edgek.kinds.data import check_keys, check_size, validate_immutable
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.metadata import immutable

DATA = FieldPath("data")
SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"
REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
JSON_TYPES = ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson")


def _default(obj: Obj) -> None:
    """``stringData`` is written, never read: it is folded into ``data`` (v1 conversion)."""
    obj["type"] = obj.get("type") or "Opaque"
    if texts := obj.pop("stringData", None):
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in texts.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _validate(obj: Obj, errors: FieldErrors) -> None:
    data = obj.get("data") or {}
    check_keys(data, DATA, errors)
    check_size(0, data, errors, path="data")
    match obj.get("type"):
        case "kubernetes.io/service-account-token":
            _validate_token(obj, errors)
        case "kubernetes.io/basic-auth" if not data.keys() & {"username", "password"}:
            errors.required(DATA.key("username"))
            errors.required(DATA.key("password"))
        case kind:
            _validate_required(kind or "", data, errors)


def _validate_token(obj: Obj, errors: FieldErrors) -> None:
    if not (obj["metadata"].get("annotations") or {}).get(SERVICE_ACCOUNT_NAME):
        errors.required(FieldPath("metadata.annotations").key(SERVICE_ACCOUNT_NAME))


def _validate_required(kind: str, data: Obj, errors: FieldErrors) -> None:
    for key in REQUIRED_KEYS.get(kind, ()):
        if key not in data:
            errors.required(DATA.key(key))
        elif kind in JSON_TYPES and not _is_json(data[key]):
            errors.invalid(DATA.key(key), "<secret contents redacted>", "invalid character in JSON")


def _is_json(encoded: str) -> bool:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError:
        return False
    return True


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("type"), old.get("type"), FieldPath("type"), errors)
    validate_immutable(new, old, ("data",), errors)


SECRET = Kind(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    columns=(
        NAME,
        Column(name="Type", read=cell("type"), description="What the data is for."),
        Column(name="Data", read=count("data"), description="How many keys there are."),
        AGE,
    ),
    selectable=("type",),
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": "default"},
        "stringData": {"token": "not-so-secret"},
    },
)
