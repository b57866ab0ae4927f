"""ResourceClaim: a wish for devices, and which ones were given."""

from edgek.api.meta import Obj, get_path, is_deleting
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.device_checks import GROUP
from edgek.kinds.device_claims import default_claim, validate_claim_devices
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.resource_claim_status import validate_status, validate_status_update
from edgek.kinds.strategy import ensure, keep_status, only_status

SPEC = FieldPath("spec")


def _default(obj: Obj) -> None:
    default_claim(ensure(obj, "spec"))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    validate_claim_devices(obj.get("spec") or {}, SPEC, errors)
    validate_status(obj, errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("spec"), old.get("spec"), SPEC, errors)
    validate_status_update(new, old, errors)


def _state(obj: Obj) -> str:
    """``allocated,reserved``, ``pending``; first of all whether it is to go."""
    words = ["deleted"] if is_deleting(obj) else []
    if get_path(obj, "status", "allocation") is not None:
        words.append("allocated")
        if get_path(obj, "status", "reservedFor"):
            words.append("reserved")
    elif not words:
        words.append("pending")
    return ",".join(words)


RESOURCE_CLAIM = Kind(
    group=GROUP,
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    columns=(
        NAME,
        Column(name="State", read=_state, description="Whether devices are given to it."),
        AGE,
    ),
    subresources=(STATUS,),
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "camera", "namespace": "default"},
        "spec": {
            "devices": {"requests": [{"name": "camera", "exactly": {"deviceClassName": "cameras"}}]}
        },
    },
)
