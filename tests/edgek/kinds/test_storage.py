"""Mistakes in volumes, claims and the kinds of storage.k8s.io, and what may change of them."""

from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from tests.support.mistakes import KINDS, Change, made, put, told, told_of_update

SIZE = ("spec", "resources", "requests", "storage")
CSI = {"driver": "disks.example.com", "volumeHandle": "1"}
DRIVER = ("spec", "drivers", 0)
TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
BOUND: tuple[Change, ...] = (
    (("status", "phase"), "Bound"),
    (("spec", "volumeName"), "disk-1"),
    (("status", "capacity"), {"storage": "1Gi"}),
)


@pytest.mark.parametrize(
    ("plural", "path", "value", "sentence"),
    [
        ("persistentvolumes", ("spec", "capacity"), {}, "spec.capacity: Required value"),
        ("persistentvolumes", ("spec", "capacity"), {"cpu": "1"}, "spec.capacity: Unsupported"),
        (
            "persistentvolumes",
            ("spec", "capacity", "storage"),
            "0",
            'spec.capacity[storage]: Invalid value: "0": must be greater than zero',
        ),
        ("persistentvolumes", ("spec", "accessModes"), [], "spec.accessModes: Required value"),
        (
            "persistentvolumes",
            ("spec", "accessModes"),
            ["ReadWriteOncePod", "ReadWriteOnce"],
            "may not use ReadWriteOncePod with other access modes",
        ),
        ("persistentvolumes", ("spec", "hostPath"), None, "spec: Required value: must specify a v"),
        ("persistentvolumes", ("spec", "csi"), CSI, "csi: Forbidden: may not specify more than 1"),
        (
            "persistentvolumes",
            ("spec", "persistentVolumeReclaimPolicy"),
            "Burn",
            'Unsupported value: "Burn": supported values: "Delete", "Recycle", "Retain"',
        ),
        ("persistentvolumes", ("spec", "volumeMode"), "Tape", "spec.volumeMode: Unsupported"),
        ("persistentvolumes", ("spec", "nodeAffinity"), {}, "must specify required node constra"),
        (
            "persistentvolumes",
            ("spec", "volumeAttributesClassName"),
            "gold",
            "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
        ),
        (
            "persistentvolumeclaims",
            ("spec", "accessModes"),
            [],
            "spec.accessModes: Required value: at least 1 access mode is required",
        ),
        ("persistentvolumeclaims", SIZE, None, "spec.resources[storage]: Required value"),
        ("persistentvolumeclaims", SIZE, "0", "must be greater than zero"),
        ("persistentvolumeclaims", SIZE, "lots", "quantities must match"),
        ("persistentvolumeclaims", ("spec", "storageClassName"), "A", "lowercase RFC 1123 subd"),
        (
            "persistentvolumeclaims",
            ("spec", "dataSource"),
            {"kind": "Bucket", "name": "a"},
            "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        ),
        (
            "persistentvolumeclaims",
            ("status", "allocatedResourceStatuses"),
            {"storage": "Slow"},
            "status.allocatedResourceStatus: Unsupported value",
        ),
        ("storageclasses", ("provisioner",), "", "provisioner: Required value"),
        ("storageclasses", ("reclaimPolicy",), "Recycle", "reclaimPolicy: Unsupported value"),
        ("storageclasses", ("volumeBindingMode",), "Late", "volumeBindingMode: Unsupported value"),
        ("storageclasses", ("parameters",), {"": "a"}, "field can not be empty."),
        (
            "storageclasses",
            ("allowedTopologies",),
            [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "a"]}]}],
            'allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"',
        ),
        (
            "volumeattributesclasses",
            ("parameters",),
            {},
            "parameters: Required value: must contain at least one key/value pair",
        ),
        ("csidrivers", ("spec", "fsGroupPolicy"), "All", "spec.fsGroupPolicy: Unsupported value"),
        ("csidrivers", ("spec", "nodeAllocatableUpdatePeriodSeconds"), 9, "equal to 10 seconds"),
        (
            "csidrivers",
            ("spec", "tokenRequests"),
            [{"audience": "a", "expirationSeconds": 60}, {"audience": "a"}],
            'spec.tokenRequests[1].audience: Duplicate value: "a"',
        ),
        ("csinodes", (*DRIVER, "nodeID"), "", "spec.drivers[0].nodeID: Required value"),
        ("csinodes", (*DRIVER, "name"), "no/driver", "spec.drivers[0].name: Invalid value"),
        ("csinodes", (*DRIVER, "topologyKeys"), ["a", "a"], "spec.drivers[0]: Duplicate value"),
        ("csinodes", (*DRIVER, "allocatable", "count"), -1, "greater than or equal to 0"),
        ("csistoragecapacities", ("storageClassName",), "", "storageClassName: Invalid value"),
        ("csistoragecapacities", ("capacity",), "-1", "capacity: Invalid value"),
        ("volumeattachments", ("spec", "source"), {}, "must specify exactly one of inlineVolume"),
        ("volumeattachments", ("spec", "attacher"), "", "spec.attacher: Required value"),
        (
            "volumeattachments",
            ("spec", "source"),
            {"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}}},
            "csi: Required value: has to be specified in the context of inline volumes",
        ),
        ("volumeattachments", ("status", "attachError"), {"errorCode": -1}, "status.attachError.e"),
    ],
)
def test_a_mistake_is_told_at_its_field(
    plural: str, path: tuple[str | int, ...], value: Any, sentence: str
) -> None:
    found = told(plural, (path, value))
    assert any(sentence in text for text in found), found


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"csi": {"driver": "d"}}, "spec.csi.volumeHandle: Required value"),
        ({"csi": CSI | {"nodeStageSecretRef": {}}}, ""),
        ({"csi": CSI | {"nodePublishSecretRef": {}}}, "csi.nodePublishSecretRef.name: Required"),
        ({"nfs": {"server": "a", "path": "b"}}, "must be an absolute path"),
        ({"local": {"path": "/a"}}, "spec.nodeAffinity: Required value: Local volume requires"),
        (
            {"local": {"path": "/a"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [TERM]}}},
            "",
        ),
        ({"hostPath": {"path": "/../a"}}, "must not contain '..'"),
        ({"fc": {}}, "must specify either targetWWNs or wwids, but not both"),
        ({"rbd": {"image": "a"}}, "spec.rbd.monitors: Required value"),
        ({"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"}, "mount of '/'"),
    ],
)
def test_the_source_of_a_volume_is_looked_at(source: Obj, sentence: str) -> None:
    changes: list[Change] = [((("spec", field)), value) for field, value in source.items()]
    found = told("persistentvolumes", (("spec", "hostPath"), None), *changes)
    assert any(sentence in text for text in found) if sentence else found == []


def test_a_claim_that_is_bound_grows_and_takes_back_a_growth_that_failed() -> None:
    def resized(size: str, *before: Change) -> list[str]:
        return told_of_update("persistentvolumeclaims", (SIZE, size), before=(*BOUND, *before))

    assert resized("2Gi") == []
    assert resized("2Gi", (SIZE, "3Gi")) == []
    [text] = resized("1Gi", (SIZE, "3Gi"))
    assert text.endswith("Forbidden: field can not be less than status.capacity")


def test_a_claim_that_waits_does_not_change_but_for_its_volume_and_a_first_class() -> None:
    def changed(*changes: Change, before: tuple[Change, ...] = ()) -> list[str]:
        return told_of_update("persistentvolumeclaims", *changes, before=before)

    name, other = ("spec", "volumeName"), ("spec", "storageClassName")
    assert any("spec is immutable after creation" in text for text in changed((SIZE, "2Gi")))
    assert changed((name, "disk-1")) == []
    assert changed((name, "disk-2"), before=((name, "disk-1"),))
    assert changed((other, "fast"), before=((other, None),)) == []
    assert changed((other, "fast"))
    assert changed((("spec", "volumeAttributesClassName"), "gold")) == []


def test_a_class_said_by_annotation_moves_to_its_field() -> None:
    note = {"volume.beta.kubernetes.io/storage-class": "slow"}
    noted: Change = (("metadata", "annotations"), note)
    unset: Change = (("spec", "storageClassName"), None)
    field: Change = (("spec", "storageClassName"), "slow")
    assert told_of_update("persistentvolumeclaims", field, before=(noted, unset)) == []
    other: Change = (("spec", "storageClassName"), "fast")
    assert told_of_update("persistentvolumeclaims", other, before=(noted, unset))


def test_a_volume_of_a_driver_gets_its_secret_for_growing_once() -> None:
    made_so: tuple[Change, ...] = ((("spec", "hostPath"), None), (("spec", "csi"), CSI))
    secret = {"name": "a", "namespace": "b"}
    path = ("spec", "csi", "controllerExpandSecretRef")
    assert told_of_update("persistentvolumes", (path, secret), before=made_so) == []
    before = (*made_so, (("spec", "csi"), CSI | {"controllerExpandSecretRef": secret}))
    assert told_of_update(
        "persistentvolumes", (path, {"name": "c", "namespace": "b"}), before=before
    )


def test_limits_of_a_driver_on_a_node_change() -> None:
    assert told_of_update("csinodes", ((*DRIVER, "allocatable", "count"), 8)) == []


def test_claims_and_volumes_begin_pending() -> None:
    assert made(KINDS["persistentvolumes"])["status"] == {"phase": "Pending"}
    claim = deep_copy(dict(KINDS["persistentvolumeclaims"].example))
    claim["status"] = {"phase": "Bound"}
    KINDS["persistentvolumeclaims"].prepare(claim, None)
    assert claim["status"] == {"phase": "Pending"}


@pytest.mark.parametrize("field", ["dataSource", "dataSourceRef"])
def test_both_fields_tell_where_data_comes_from(field: str) -> None:
    source = {"kind": "PersistentVolumeClaim", "name": "other"}
    claim = deep_copy(dict(KINDS["persistentvolumeclaims"].example))
    claim["spec"][field] = source
    KINDS["persistentvolumeclaims"].prepare(claim, None)
    assert claim["spec"]["dataSource"] == claim["spec"]["dataSourceRef"] == source


def test_cells_of_a_bound_claim() -> None:
    claim = made(KINDS["persistentvolumeclaims"])
    claim["spec"]["volumeName"] = "disk-1"
    claim["status"] = {
        "phase": "Bound",
        "capacity": {"storage": "1024Mi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
    }
    cells = {column.name: column.read(claim) for column in KINDS["persistentvolumeclaims"].columns}
    assert (cells["Status"], cells["Volume"], cells["Capacity"]) == ("Bound", "disk-1", "1Gi")
    assert cells["Access Modes"] == "RWO,RWX"
    claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert KINDS["persistentvolumeclaims"].columns[1].read(claim) == "Terminating"


def test_the_default_class_is_marked() -> None:
    fast = made(KINDS["storageclasses"])
    fast["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    assert KINDS["storageclasses"].columns[0].read(fast) == "fast (default)"


def test_a_source_that_the_old_field_never_knew_is_said_by_the_new_one() -> None:
    bucket = {"apiGroup": "example.com", "kind": "Bucket", "name": "files"}
    claim = deep_copy(dict(KINDS["persistentvolumeclaims"].example))
    claim["spec"]["dataSource"] = bucket
    KINDS["persistentvolumeclaims"].prepare(claim, None)
    assert not {"dataSource", "dataSourceRef"} & set(claim["spec"])
    claim["spec"]["dataSourceRef"] = bucket
    KINDS["persistentvolumeclaims"].prepare(claim, None)
    assert claim["spec"]["dataSource"] == bucket


OLD_ZONE = "failure-domain.beta.kubernetes.io/zone"
OLD_TERM = {"matchExpressions": [{"key": OLD_ZONE, "operator": "Exists"}]}
NEW_ZONE = 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
CLASS_FIELD = 'deprecated since v1.8; use "storageClassName" attribute instead'


@pytest.mark.parametrize(
    ("plural", "path", "value", "warnings"),
    [
        ("persistentvolumes", ("spec", "storageClassName"), "fast", []),
        (
            "persistentvolumes",
            ("spec", "rbd"),
            {"image": "a"},
            ["spec.rbd: deprecated in v1.28, non-functional in v1.31+"],
        ),
        (
            "persistentvolumes",
            ("spec", "nodeAffinity"),
            {"required": {"nodeSelectorTerms": [OLD_TERM]}},
            [
                "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: "
                f"{OLD_ZONE} is {NEW_ZONE}"
            ],
        ),
        (
            "persistentvolumeclaims",
            ("metadata", "annotations"),
            {OLD_CLASS: "slow"},
            [f"metadata.annotations[{OLD_CLASS}]: {CLASS_FIELD}"],
        ),
        (
            "persistentvolumeclaims",
            SIZE,
            "1500m",
            [
                'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must '
                "be an integer"
            ],
        ),
        (
            "storageclasses",
            ("allowedTopologies",),
            [{"matchLabelExpressions": [{"key": OLD_ZONE, "values": ["a"]}]}],
            [f"allowedTopologies[0].matchLabelExpressions[0].key: {NEW_ZONE}"],
        ),
        (
            "csistoragecapacities",
            ("nodeTopology",),
            {"matchLabels": {OLD_ZONE: "a"}},
            [f"nodeTopology.matchLabels[{OLD_ZONE}]: {NEW_ZONE}"],
        ),
    ],
)
def test_what_is_of_old_is_warned_of(
    plural: str, path: tuple[str | int, ...], value: Any, warnings: list[str]
) -> None:
    kind = KINDS[plural]
    assert kind.warn is not None
    assert list(kind.warn(put(made(kind), path, value), None)) == warnings
