"""What objects count for in quotas, and which quotas' scopes take them in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgek.api.meta import Obj
from edgek.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SERVICE,
)
from edgek.kinds.kind import Kind
from edgek.kinds.quota_scopes import quota_matches
from edgek.kinds.quota_usage import is_counted, matching_resources, missing_amounts, usage

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_pod(*resources: Obj, **spec: Any) -> Obj:
    containers = [{"name": f"c{i}", "resources": r} for i, r in enumerate(resources, start=1)]
    return {"metadata": {"name": "web"}, "spec": {"containers": containers, **spec}}


def a_service(kind: str, *ports: Obj, **spec: Any) -> Obj:
    return {"metadata": {}, "spec": {"type": kind, "ports": list(ports), **spec}}


def a_claim(size: str, **more: Any) -> Obj:
    spec = {"resources": {"requests": {"storage": size}}, "storageClassName": "fast"}
    return {"metadata": {"name": "data"}, "spec": spec, **more}


@pytest.mark.parametrize(
    ("kind", "obj", "found"),
    [
        (DEPLOYMENT, {}, {"count/deployments.apps": "1"}),
        (SECRET, {}, {"count/secrets": "1", "secrets": "1"}),
        (
            POD,
            a_pod(
                {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}},
                {"requests": {"cpu": "1", "memory": "64Mi", "example.com/gpu": "2"}},
                overhead={"memory": "10Mi"},
            ),
            {
                "count/pods": "1", "pods": "1", "cpu": "1100m", "requests.cpu": "1100m",
                "memory": "138Mi", "requests.memory": "138Mi", "limits.cpu": "1",
                "requests.example.com/gpu": "2",
            },
        ),
        (
            POD,
            a_pod({"requests": {"hugepages-2Mi": "4Mi", "memory": "1M"}}),
            {
                "count/pods": "1", "pods": "1", "memory": "1M", "requests.memory": "1M",
                "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi",
            },
        ),
        (POD, {**a_pod({}), "status": {"phase": "Succeeded"}}, {"count/pods": "1"}),
        (
            SERVICE,
            a_service("NodePort", {}, {}),
            {
                "count/services": "1", "services": "1", "services.nodeports": "2",
                "services.loadbalancers": "0",
            },
        ),
        (
            SERVICE,
            a_service("LoadBalancer", {}, {"nodePort": 3}, allocateLoadBalancerNodePorts=False),
            {
                "count/services": "1", "services": "1", "services.nodeports": "1",
                "services.loadbalancers": "1",
            },
        ),
        (
            PERSISTENT_VOLUME_CLAIM,
            a_claim("1Gi", status={"allocatedResources": {"storage": "2Gi"}}),
            {
                "count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1",
                "requests.storage": "2Gi",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
                "fast.storageclass.storage.k8s.io/requests.storage": "2Gi",
            },
        ),
    ],
)  # fmt: skip
def test_what_an_object_counts_for(kind: Kind, obj: Obj, found: dict[str, str]) -> None:
    assert usage(kind, obj, now=NOW) == found


def test_a_pod_whose_deletion_hangs_is_no_longer_charged() -> None:
    meta = {"deletionTimestamp": "2025-12-31T23:59:00Z", "deletionGracePeriodSeconds": 30}
    going = {**a_pod({}), "metadata": meta}
    assert "pods" not in usage(POD, going, now=NOW)
    assert "pods" in usage(POD, going, now=NOW - timedelta(seconds=40))


def test_which_of_a_quotas_names_a_kind_counts_for() -> None:
    names = [
        "pods", "limits.cpu", "requests.example.com/gpu", "hugepages-2Mi", "services.nodeports",
        "requests.storage", "fast.storageclass.storage.k8s.io/requests.storage", "configmaps",
        "count/configmaps", "count/deployments.apps", "count/pods",
    ]  # fmt: skip
    of_pods = ["count/pods", "hugepages-2Mi", "limits.cpu", "pods", "requests.example.com/gpu"]
    assert matching_resources(POD, names) == of_pods
    assert matching_resources(SERVICE, names) == ["services.nodeports"]
    assert matching_resources(CONFIG_MAP, names) == ["configmaps", "count/configmaps"]
    assert matching_resources(DEPLOYMENT, names) == ["count/deployments.apps"]
    assert matching_resources(PERSISTENT_VOLUME_CLAIM, names) == [
        "fast.storageclass.storage.k8s.io/requests.storage", "requests.storage",
    ]  # fmt: skip
    assert not is_counted(EVENT)
    assert not is_counted(NODE)


def test_a_quota_of_cpu_or_memory_wants_every_container_to_say() -> None:
    obj = a_pod({"requests": {"cpu": "1"}}, {"limits": {"memory": "1"}})
    required = ["limits.cpu", "memory", "requests.cpu", "requests.ephemeral-storage", "pods"]
    assert missing_amounts(required, obj) == (
        "must specify limits.cpu for: c1,c2; memory for: c1,c2; requests.cpu for: c2"
    )
    assert not missing_amounts(["pods", "requests.ephemeral-storage"], obj)
    whole = a_pod({}, resources={"limits": {"cpu": "1"}})
    assert not missing_amounts(required, whole)


def quota(*scopes: str, **term: Any) -> Obj:
    spec: Obj = {"scopes": list(scopes)}
    if term:
        spec["scopeSelector"] = {"matchExpressions": [term]}
    return {"metadata": {"name": "q"}, "spec": spec}


BOUNDED = a_pod({"requests": {"cpu": "1"}}, activeDeadlineSeconds=60, priorityClassName="high")
ELSEWHERE = a_pod(
    {},
    affinity={
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"namespaces": ["x"]}}
            ]
        }
    },
)
HIGH = {"scopeName": "PriorityClass"}


@pytest.mark.parametrize(
    ("of", "obj", "is_in"),
    [
        (quota("Terminating"), BOUNDED, True),
        (quota("NotTerminating"), BOUNDED, False),
        (quota("NotTerminating", "BestEffort"), a_pod({}), True),
        (quota("BestEffort"), BOUNDED, False),
        (quota("NotBestEffort"), BOUNDED, True),
        (quota("CrossNamespacePodAffinity"), ELSEWHERE, True),
        (quota("CrossNamespacePodAffinity"), BOUNDED, False),
        (quota(**HIGH, operator="In", values=["high"]), BOUNDED, True),
        (quota(**HIGH, operator="In", values=["low"]), BOUNDED, False),
        (quota(**HIGH, operator="NotIn", values=["low"]), a_pod({}), True),
        (quota(**HIGH, operator="Exists"), a_pod({}), False),
        (quota(**HIGH, operator="DoesNotExist"), a_pod({}), True),
        (quota(), a_pod({}), True),
    ],
)
def test_all_scopes_of_a_quota_must_hold(of: Obj, obj: Obj, is_in: bool) -> None:
    assert quota_matches(of, POD, obj, hard={"pods": "1"}) is is_in


def test_scopes_take_in_pods_and_claims_only() -> None:
    assert not quota_matches(quota("BestEffort"), CONFIG_MAP, {}, hard={"configmaps": "1"})
    gold = quota(scopeName="VolumeAttributesClass", operator="In", values=["gold"])
    hard = {"requests.storage": "1Gi"}
    moving = a_claim("1Gi", status={"currentVolumeAttributesClassName": "gold"})
    assert quota_matches(gold, PERSISTENT_VOLUME_CLAIM, moving, hard=hard)
    assert not quota_matches(gold, PERSISTENT_VOLUME_CLAIM, a_claim("1Gi"), hard=hard)
