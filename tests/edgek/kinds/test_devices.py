"""Mistakes in claims for devices and in what drivers offer, in upstream's words."""

from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from tests.support.mistakes import KINDS, Change, made, told, told_of_update

REQUEST = ("spec", "devices", "requests", 0)
EXACTLY = (*REQUEST, "exactly")
DEVICE = ("spec", "devices", 0)
ALLOCATION = {
    "devices": {
        "results": [
            {"request": "camera", "driver": "d.example.com", "pool": "p", "device": "camera-0"}
        ]
    }
}
CONSUMER = {"resource": "pods", "name": "web", "uid": "1"}


@pytest.mark.parametrize(
    ("plural", "path", "value", "sentence"),
    [
        ("resourceclaims", (*REQUEST, "name"), "A", "spec.devices.requests[0].name: Invalid value"),
        (
            "resourceclaims",
            EXACTLY,
            None,
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or",
        ),
        ("resourceclaims", (*EXACTLY, "deviceClassName"), "", "deviceClassName: Required value"),
        ("resourceclaims", (*EXACTLY, "allocationMode"), "Some", "allocationMode: Unsupported"),
        ("resourceclaims", (*EXACTLY, "allocationMode"), "All", "must not be specified when alloc"),
        ("resourceclaims", (*EXACTLY, "count"), -1, "count: Invalid value: -1: must be greater"),
        ("resourceclaims", (*EXACTLY, "selectors"), [{}], "selectors[0].cel: Required value"),
        (
            "resourceclaims",
            (*EXACTLY, "tolerations"),
            [{"operator": "Exists", "value": "a"}],
            "must be empty for operator `Exists`",
        ),
        (
            "resourceclaims",
            ("spec", "devices", "constraints"),
            [{"requests": ["other"], "matchAttribute": "d.example.com/model"}],
            'constraints[0].requests[0]: Invalid value: "other": must be the name of a request',
        ),
        (
            "resourceclaims",
            ("spec", "devices", "constraints"),
            [{"matchAttribute": "model"}],
            "must include a domain",
        ),
        (
            "resourceclaims",
            ("spec", "devices", "config"),
            [{"opaque": {"driver": "d.example.com"}}],
            "config[0].opaque.parameters: Required value",
        ),
        (
            "resourceclaims",
            ("status", "reservedFor"),
            [CONSUMER],
            "may not be specified when `allocated` is not set",
        ),
        (
            "resourceclaims",
            ("status", "devices"),
            [{"driver": "a", "pool": "b", "device": "c"}],
            "must be an allocated device in the claim",
        ),
        (
            "resourceclaimtemplates",
            ("spec", "metadata"),
            {"name": "a"},
            "spec.metadata.name: Forbidden: cannot be set",
        ),
        ("deviceclasses", ("spec", "selectors"), [{"cel": {}}], "cel.expression: Required value"),
        ("deviceclasses", ("spec", "extendedResourceName"), "cpu", "valid extended resource name"),
        ("resourceslices", ("spec", "driver"), "", "spec.driver: Required value"),
        ("resourceslices", ("spec", "pool", "name"), "", "spec.pool.name: Required value"),
        ("resourceslices", ("spec", "pool", "resourceSliceCount"), 0, "must be greater than zero"),
        (
            "resourceslices",
            ("spec", "nodeName"),
            None,
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
            "`perDeviceNodeSelection` is required",
        ),
        ("resourceslices", ("spec", "allNodes"), True, "`{`nodeName`, `allNodes`}"[1:]),
        ("resourceslices", ("spec", "allNodes"), False, "must be either unset or set to true"),
        ("resourceslices", ("spec", "sharedCounters"), [], "only one of `sharedCounters` or `dev"),
        ("resourceslices", (*DEVICE, "name"), "", "spec.devices[0].name: Invalid value"),
        ("resourceslices", (*DEVICE, "nodeName"), "a", "can only be set if `perDeviceNodeSelec"),
        (
            "resourceslices",
            (*DEVICE, "attributes"),
            {"model": {"string": "a", "int": 1}},
            "exactly one value must be specified",
        ),
        (
            "resourceslices",
            (*DEVICE, "attributes"),
            {"model": {"version": "1"}},
            "must be a string compatible with semver.org spec 2.0.0",
        ),
        ("resourceslices", (*DEVICE, "attributes"), {"a b": {"int": 1}}, "a valid C identifier"),
        ("resourceslices", (*DEVICE, "taints"), [{"key": "a"}], "effect: Required value"),
        ("devicetaintrules", ("spec", "taint", "effect"), "Hide", "effect: Unsupported value"),
    ],
)
def test_a_mistake_is_told_at_its_field(
    plural: str, path: tuple[str | int, ...], value: Any, sentence: str
) -> None:
    found = told(plural, (path, value))
    assert any(sentence in text for text in found), found


def test_a_request_is_for_one_device_where_nothing_is_said() -> None:
    exactly = made(KINDS["resourceclaims"])["spec"]["devices"]["requests"][0]["exactly"]
    assert (exactly["allocationMode"], exactly["count"]) == ("ExactCount", 1)


def test_one_of_several_devices_may_be_asked_for_by_rank() -> None:
    ways = [{"name": n, "deviceClassName": n, "allocationMode": "All"} for n in ("wide", "zoom")]
    claim = [{"name": "camera", "firstAvailable": ways}]
    config = [
        {"requests": ["camera/zoom"], "opaque": {"driver": "d.example.com", "parameters": {}}}
    ]
    given: tuple[Change, ...] = (
        (("spec", "devices", "requests"), claim),
        (("spec", "devices", "config"), config),
    )
    assert told("resourceclaims", *given) == []


def test_what_is_allocated_stays_until_it_is_given_back() -> None:
    allocated: Change = (("status", "allocation"), ALLOCATION)
    reserved: Change = (("status", "reservedFor"), [CONSUMER])
    assert told_of_update("resourceclaims", allocated, reserved) == []
    other = deep_copy(ALLOCATION)
    other["devices"]["results"][0]["device"] = "camera-1"
    changed: Change = (("status", "allocation"), other)
    assert told_of_update("resourceclaims", changed, before=(allocated,))
    gone: Change = (("metadata", "deletionTimestamp"), "2026-01-01T00:00:00Z")
    [text] = told_of_update("resourceclaims", reserved, before=(allocated, gone))
    assert "new entries may not be added while" in text


@pytest.mark.parametrize(
    ("status", "deleted", "state"),
    [
        ({}, False, "pending"),
        ({}, True, "deleted"),
        ({"allocation": ALLOCATION}, False, "allocated"),
        ({"allocation": ALLOCATION, "reservedFor": [CONSUMER]}, False, "allocated,reserved"),
        ({"allocation": ALLOCATION}, True, "deleted,allocated"),
    ],
)
def test_the_state_of_a_claim(status: Obj, deleted: bool, state: str) -> None:
    claim = made(KINDS["resourceclaims"]) | {"status": status}
    if deleted:
        claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert KINDS["resourceclaims"].columns[1].read(claim) == state
