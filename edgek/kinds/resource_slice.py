"""ResourceSlice: devices that a driver offers (upstream: ValidateResourceSlice)."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.columns import cell
from edgek.kinds.device_checks import (
    GROUP,
    check_items,
    check_pool_name,
    check_unique,
)
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.placement_validation import validate_node_selector
from edgek.kinds.slice_devices import validate_counters, validate_device
from edgek.kinds.storage_checks import check_driver_name

SPEC = FieldPath("spec")
MAX_DEVICES = 128
MAX_DEVICES_WITH_MORE = 64
MAX_COUNTER_SETS = 8
SLICE_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
)
_NO_PLACE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set "
    "to true in the ResourceSlice spec"
)
_DEVICE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when "
    "`perDeviceNodeSelection` is set to true in the ResourceSlice spec"
)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    check_driver_name(spec.get("driver"), SPEC.child("driver"), errors)
    _validate_pool(spec.get("pool") or {}, SPEC.child("pool"), errors)
    _validate_place(spec, errors)
    devices, sets = spec.get("devices"), spec.get("sharedCounters")
    if devices is not None and sets is not None:
        errors.invalid(SPEC, "", "only one of `sharedCounters` or `devices` is allowed")
    _validate_devices(devices or [], spec, errors)
    path = SPEC.child("sharedCounters")
    check_items(sets, MAX_COUNTER_SETS, validate_counters, path, errors)
    check_unique((s.get("name") for s in sets or ()), path, errors)


def _validate_pool(pool: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_pool_name(pool.get("name") or "", path.child("name"), errors)
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        errors.invalid(path.child("resourceSliceCount"), count, "must be greater than zero")
    if generation < 0:
        text = "must be greater than or equal to zero"
        errors.invalid(path.child("generation"), generation, text)


def _validate_place(spec: Obj, errors: FieldErrors) -> None:
    given = _places(spec, SLICE_PLACES, SPEC, errors)
    if not given:
        errors.required(SPEC, _ONE_PLACE)
    elif len(given) > 1:
        shown = "{" + ", ".join(f"`{name}`" for name in given) + "}"
        errors.invalid(SPEC, shown, f"{_ONE_PLACE}, but multiple fields are set")
    terms = get_path(spec, "nodeSelector", "nodeSelectorTerms")
    if terms is not None and len(terms) != 1:
        path = SPEC.child("nodeSelector", "nodeSelectorTerms")
        errors.invalid(path, terms, "must have exactly one node selector term")


def _places(obj: Obj, names: tuple[str, ...], path: FieldPath, errors: FieldErrors) -> list[str]:
    """Which of the fields that say where devices are is there; each is looked at by itself."""
    given = []
    for name in names:
        value, where = obj.get(name), path.child(name)
        if value is None:
            continue
        if value is False:
            errors.invalid(where, value, "must be either unset or set to true")
        elif value == "":
            errors.invalid(where, value, "must be either unset or set to a non-empty string")
        else:
            given.append(name)
            _validate_one_place(value, where, errors)
    return given


def _validate_one_place(value: object, path: FieldPath, errors: FieldErrors) -> None:
    if isinstance(value, str):
        for problem in is_dns1123_subdomain(value):
            errors.invalid(path, value, problem)
    elif isinstance(value, dict):
        validate_node_selector(value, path, errors)


def _validate_devices(devices: list[Obj], spec: Obj, errors: FieldErrors) -> None:
    path, each = SPEC.child("devices"), bool(spec.get("perDeviceNodeSelection"))
    more = any(device.get("taints") or device.get("consumesCounters") for device in devices)
    limit = MAX_DEVICES_WITH_MORE if more else MAX_DEVICES
    check_items(devices, limit, validate_device, path, errors)
    check_unique((device.get("name") for device in devices), path, errors)
    for index, device in enumerate(devices):
        _validate_device_place(device, path.index(index), errors, each=each)


def _validate_device_place(
    device: Obj, path: FieldPath, errors: FieldErrors, *, each: bool
) -> None:
    names = ("nodeName", "nodeSelector", "allNodes")
    if not each:
        if any(device.get(name) is not None for name in names):
            errors.invalid(path, None, _NO_PLACE)
        return
    given = _places(device, names, path, errors)
    if not given:
        errors.required(path, _DEVICE_PLACE)
    elif len(given) > 1:
        shown = "{" + ", ".join(f"`{name}`" for name in given) + "}"
        errors.invalid(path, shown, _DEVICE_PLACE)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    for path in (("pool", "name"), ("driver",), ("nodeName",)):
        has, had = (get_path(o, "spec", *path) for o in (new, old))
        immutable(has, had, SPEC.child(*path), errors)


RESOURCE_SLICE = Kind(
    group=GROUP,
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    columns=(
        NAME,
        Column(
            name="Node",
            read=cell("spec", "nodeName", default="<unset>"),
            description="Where the devices are.",
        ),
        Column(name="Driver", read=cell("spec", "driver"), description="Whose devices they are."),
        Column(
            name="Pool", read=cell("spec", "pool", "name"), description="The pool they belong to."
        ),
        AGE,
    ),
    selectable=("spec.nodeName", "spec.driver"),
    generation=True,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "worker-1-cameras"},
        "spec": {
            "driver": "cameras.example.com",
            "nodeName": "worker-1",
            "pool": {"name": "worker-1", "generation": 1, "resourceSliceCount": 1},
            "devices": [
                {
                    "name": "camera-0",
                    "attributes": {"model": {"string": "wide"}, "night": {"bool": True}},
                }
            ],
        },
    },
)
