"""DeviceTaintRule: a taint that an admin puts on devices of any driver."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.device_checks import GROUP, check_label_name, check_pool_name, check_taint
from edgek.kinds.kind import NAME, STATUS, Kind
from edgek.kinds.rbac import CREATED_AT
from edgek.kinds.storage_checks import check_driver_name
from edgek.kinds.strategy import keep_status, only_status

SPEC = FieldPath("spec")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    selector = get_path(obj, "spec", "deviceSelector", default={})
    path = SPEC.child("deviceSelector")
    if selector.get("driver") is not None:
        check_driver_name(selector["driver"], path.child("driver"), errors)
    if selector.get("pool") is not None:
        check_pool_name(selector["pool"], path.child("pool"), errors)
    if selector.get("device") is not None:
        check_label_name(selector["device"], path.child("device"), errors)
    check_taint(get_path(obj, "spec", "taint", default={}), SPEC.child("taint"), errors)


DEVICE_TAINT_RULE = Kind(
    group=GROUP,
    version="v1",
    kind="DeviceTaintRule",
    plural="devicetaintrules",
    namespaced=False,
    columns=(NAME, CREATED_AT),
    subresources=(STATUS,),
    generation=True,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    example={
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceTaintRule",
        "metadata": {"name": "broken-camera"},
        "spec": {
            "deviceSelector": {"driver": "cameras.example.com", "device": "camera-0"},
            "taint": {"key": "example.com/broken", "effect": "NoExecute"},
        },
    },
)
