"""DeviceClass: a sort of devices that claims ask for by its name."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.device_checks import (
    GROUP,
    MAX_CONFIGS,
    MAX_SELECTORS,
    check_config,
    check_items,
    check_selector,
)
from edgek.kinds.kind import Kind
from edgek.kinds.resource_validation import is_extended
from edgek.kinds.strategy import ensure

SPEC = FieldPath("spec")


def _default(obj: Obj) -> None:
    ensure(obj, "spec")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    selectors = SPEC.child("selectors")
    check_items(spec.get("selectors"), MAX_SELECTORS, check_selector, selectors, errors)
    check_items(spec.get("config"), MAX_CONFIGS, check_config, SPEC.child("config"), errors)
    name = spec.get("extendedResourceName")
    if name is not None and (not is_extended(name) or is_qualified_name(name)):
        path = SPEC.child("extendedResourceName")
        errors.invalid(path, name, "must be a valid extended resource name")


DEVICE_CLASS = Kind(
    group=GROUP,
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    generation=True,
    default=_default,
    validate=_validate,
    example={
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "cameras"},
        "spec": {"selectors": [{"cel": {"expression": "device.driver == 'cameras.example.com'"}}]},
    },
)
