"""What pods, claims and ingresses get of the classes they name, or of the default one."""

from typing import Any

import pytest

from edgek.api.errors import Forbidden
from edgek.api.meta import Obj
from edgek.kinds import (
    INGRESS,
    INGRESS_CLASS,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    PRIORITY_CLASS,
    RUNTIME_CLASS,
    STORAGE_CLASS,
)
from edgek.kinds.kind import Kind
from edgek.kinds.priority_class import SYSTEM_CLASSES
from server.admission.chain import Attributes
from server.admission.default_ingress_class import DefaultIngressClass
from server.admission.pod_topology_labels import PodTopologyLabels
from server.admission.priority import Priority
from server.admission.runtime_class import RuntimeClass, merge_tolerations
from server.admission.storage import DefaultStorageClass, PersistentVolumeClaimResize
from server.request.fake import FakeReader
from server.request.model import User

Made = tuple[Kind, Obj]


async def admitted(plugin: Any, kind: Kind, obj: Obj, **more: Any) -> Obj:
    defaults = {"operation": "CREATE", "namespace": "shop", "name": ""}
    a = Attributes(kind=kind, obj=obj, user=User(name="ann"), **{**defaults, **more})
    await plugin.admit(a)
    await plugin.validate(a)
    return obj


async def refused(plugin: Any, kind: Kind, obj: Obj, **more: Any) -> str:
    with pytest.raises(Forbidden) as caught:
        await admitted(plugin, kind, obj, **more)
    return caught.value.message.partition(" is forbidden: ")[2]


def a_pod(**spec: Any) -> Obj:
    return {"metadata": {"name": "web"}, "spec": {"containers": [], **spec}}


# --- Priority ------------------------------------------------------------------------------------


def priority(name: str, value: int, **fields: Any) -> Made:
    preempt = {"preemptionPolicy": "PreemptLowerPriority"}
    return PRIORITY_CLASS, {"metadata": {"name": name}, "value": value, **preempt, **fields}


PRIORITIES = Priority(
    FakeReader(
        priority("high", 100, preemptionPolicy="Never"),
        priority("usual", 7, globalDefault=True),
        *((PRIORITY_CLASS, system) for system in SYSTEM_CLASSES),
    )
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("high", ("high", 100, "Never")),
        (None, ("usual", 7, "PreemptLowerPriority")),
        ("system-node-critical", ("system-node-critical", 2_000_001_000, None)),
    ],
)
async def test_a_pod_is_as_important_as_its_class(wanted: str | None, found: Any) -> None:
    spec = (await admitted(PRIORITIES, POD, a_pod(priorityClassName=wanted)))["spec"]
    got = (spec["priorityClassName"], spec["priority"], spec.get("preemptionPolicy"))
    assert got == found


async def test_without_any_class_pods_are_of_priority_zero() -> None:
    spec = (await admitted(Priority(FakeReader()), POD, a_pod()))["spec"]
    assert spec["priority"] == 0
    assert "priorityClassName" not in spec


async def test_what_the_class_says_may_not_be_said_otherwise() -> None:
    assert await refused(PRIORITIES, POD, a_pod(priorityClassName="x")) == (
        "no PriorityClass with name x was found"
    )
    assert await refused(PRIORITIES, POD, a_pod(priorityClassName="high", priority=9)) == (
        "the integer value of priority (9) must not be provided in pod spec; priority admission "
        "controller computed 100 from the given PriorityClass name"
    )
    policy = a_pod(priorityClassName="high", preemptionPolicy="PreemptLowerPriority")
    assert "the string value of PreemptionPolicy (PreemptLowerPriority) must not be" in (
        await refused(PRIORITIES, POD, policy)
    )


async def test_an_update_keeps_the_priority_it_leaves_out() -> None:
    old = a_pod(priority=5, preemptionPolicy="Never")
    spec = (await admitted(PRIORITIES, POD, a_pod(), old=old, operation="UPDATE"))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (5, "Never")


async def test_there_is_one_default_class_and_the_systems_stay() -> None:
    _, second = priority("other", 1, globalDefault=True)
    assert await refused(PRIORITIES, PRIORITY_CLASS, second) == (
        "PriorityClass usual is already marked as default. Only one default can exist"
    )
    _, usual = priority("usual", 7, globalDefault=True)
    await admitted(PRIORITIES, PRIORITY_CLASS, usual, old=usual, operation="UPDATE")
    gone: Any = None
    request = {"operation": "DELETE", "name": "system-node-critical"}
    assert await refused(PRIORITIES, PRIORITY_CLASS, gone, **request) == (
        "this is a system priority class and cannot be deleted"
    )


# --- RuntimeClass --------------------------------------------------------------------------------


def runtime(**fields: Any) -> RuntimeClass:
    return RuntimeClass(
        FakeReader((RUNTIME_CLASS, {"metadata": {"name": "vm"}, "handler": "kata", **fields}))
    )


async def test_a_pod_takes_over_what_its_runtime_costs_and_where_it_is() -> None:
    toleration = {"key": "vm", "operator": "Exists"}
    plugin = runtime(
        overhead={"podFixed": {"cpu": "250m"}},
        scheduling={"nodeSelector": {"vm": "yes"}, "tolerations": [toleration]},
    )
    spec = (await admitted(plugin, POD, a_pod(runtimeClassName="vm", nodeSelector={"a": "b"})))[
        "spec"
    ]
    assert spec["overhead"] == {"cpu": "250m"}
    assert spec["nodeSelector"] == {"a": "b", "vm": "yes"}
    assert spec["tolerations"] == [toleration]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"runtimeClassName": "x"}, 'pod rejected: RuntimeClass "x" not found'),
        (
            {"runtimeClassName": "vm", "overhead": {"cpu": "1"}},
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            {"overhead": {"cpu": "1"}},
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            {"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}},
            "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] "
            "= no",
        ),
    ],
)
async def test_what_contradicts_the_runtime_is_refused(spec: Obj, words: str) -> None:
    plugin = runtime(
        overhead={"podFixed": {"cpu": "250m"}}, scheduling={"nodeSelector": {"vm": "yes"}}
    )
    assert await refused(plugin, POD, a_pod(**spec)) == words


def test_a_toleration_that_another_includes_is_left_out() -> None:
    every, one = {"operator": "Exists"}, {"key": "a", "operator": "Exists"}
    seconds = {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    assert merge_tolerations([one], [every]) == [every]
    assert merge_tolerations([one, seconds], [one]) == [one]
    longer = {**seconds, "tolerationSeconds": 9}
    assert merge_tolerations([seconds], [longer]) == [longer]


# --- where a pod is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_of", "labelled"),
    [
        ({}, True),
        ({"operation": "UPDATE"}, False),
        ({"operation": "UPDATE", "subresource": "status"}, False),
    ],
)
async def test_a_pod_that_gets_a_node_learns_its_zone(request_of: Obj, labelled: bool) -> None:
    zone = {"topology.kubernetes.io/zone": "attic"}
    node: Obj = {"metadata": {"name": "n1", "labels": {**zone, "example.com/rack": "7"}}}
    pod = a_pod(nodeName="n1")
    pod["metadata"]["labels"] = {"app": "web"}
    await admitted(PodTopologyLabels(FakeReader((NODE, node))), POD, pod, **request_of)
    assert pod["metadata"]["labels"] == {"app": "web", **(zone if labelled else {})}


async def test_a_binding_brings_the_zone_along() -> None:
    zone = {"topology.kubernetes.io/zone": "attic"}
    node: Obj = {"metadata": {"name": "n1", "labels": zone}}
    binding: Obj = {"metadata": {"name": "web"}, "target": {"name": "n1"}}
    plugin = PodTopologyLabels(FakeReader((NODE, node)))
    await admitted(plugin, POD, binding, subresource="binding")
    assert binding["metadata"]["labels"] == zone


async def test_a_pod_without_a_known_node_learns_nothing() -> None:
    for pod in (a_pod(), a_pod(nodeName="gone")):
        await admitted(PodTopologyLabels(FakeReader()), POD, pod)
        assert "labels" not in pod["metadata"]


# --- storage and ingress classes -----------------------------------------------------------------


def marked(name: str, key: str, created: str = "2026-01-01T00:00:00Z", **more: Any) -> Obj:
    notes = {f"{key}.kubernetes.io/is-default-class": "true"}
    return {"metadata": {"name": name, "creationTimestamp": created, "annotations": notes}, **more}


async def test_a_claim_that_names_no_class_gets_the_newest_default() -> None:
    reader = FakeReader((STORAGE_CLASS, marked("old", "storageclass")))
    plugin = DefaultStorageClass(reader)
    claim = await admitted(plugin, PERSISTENT_VOLUME_CLAIM, {"metadata": {}, "spec": {}})
    assert claim["spec"]["storageClassName"] == "old"
    reader.put(STORAGE_CLASS, marked("new", "storageclass", "2026-02-01T00:00:00Z"))
    claim = await admitted(plugin, PERSISTENT_VOLUME_CLAIM, {"metadata": {}, "spec": {}})
    assert claim["spec"]["storageClassName"] == "new"
    none: Obj = {"metadata": {}, "spec": {"storageClassName": ""}}
    await admitted(plugin, PERSISTENT_VOLUME_CLAIM, none)
    assert none["spec"]["storageClassName"] == ""


async def test_an_ingress_that_names_no_class_gets_the_default() -> None:
    plugin = DefaultIngressClass(FakeReader((INGRESS_CLASS, marked("web", "ingressclass"))))
    ingress = await admitted(plugin, INGRESS, {"metadata": {}, "spec": {}})
    assert ingress["spec"]["ingressClassName"] == "web"
    old: Obj = {"metadata": {"annotations": {"kubernetes.io/ingress.class": "nginx"}}, "spec": {}}
    assert "ingressClassName" not in (await admitted(plugin, INGRESS, old))["spec"]


def a_claim(size: str, phase: str = "Bound", of: str = "grows") -> Obj:
    spec = {"storageClassName": of, "resources": {"requests": {"storage": size}}}
    return {"metadata": {"name": "c"}, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("phase", "of", "words"),
    [
        ("Bound", "grows", ""),
        ("Pending", "grows", "Only bound persistent volume claims can be expanded"),
        ("Bound", "fixed", "only dynamically provisioned pvc can be resized and the storageclass"),
    ],
)
async def test_only_bound_claims_of_a_class_that_allows_it_grow(
    phase: str, of: str, words: str
) -> None:
    grows: Obj = {"metadata": {"name": "grows"}, "allowVolumeExpansion": True}
    fixed: Obj = {"metadata": {"name": "fixed"}}
    plugin = PersistentVolumeClaimResize(FakeReader((STORAGE_CLASS, grows), (STORAGE_CLASS, fixed)))
    old, new = a_claim("1Gi", phase, of), a_claim("2Gi", phase, of)
    request = {"old": old, "operation": "UPDATE"}
    if words:
        assert words in await refused(plugin, PERSISTENT_VOLUME_CLAIM, new, **request)
    else:
        await admitted(plugin, PERSISTENT_VOLUME_CLAIM, new, **request)
    await admitted(plugin, PERSISTENT_VOLUME_CLAIM, old, **request)
