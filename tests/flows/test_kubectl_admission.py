"""Real kubectl where admission has something to say: quotas, classes, Pod Security."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  containers: [{name: main, image: busybox, resources: {requests: {cpu: 100m}, limits: {cpu: 1}}}]
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path) as server:
        await server.kubectl.until("default", "get", "serviceaccounts", "-o", "name")
        yield server.kubectl


async def test_a_quota_is_made_shown_and_kept(kubectl: Kubectl) -> None:
    hard = "--hard=pods=1,requests.cpu=1,limits.cpu=2"
    assert "created" in await kubectl("create", "quota", "small", hard)
    await kubectl.until("pods: 0/1, requests.cpu: 0/1", "get", "quota", "small")
    assert "created" in await kubectl("apply", "-f", "-", stdin=POD % "one")
    shown = await kubectl("get", "quota")
    assert "pods: 1/1, requests.cpu: 100m/1" in shown
    assert "limits.cpu: 1/2" in shown
    refused = await kubectl("apply", "-f", "-", stdin=POD % "two", ok=False)
    assert "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1" in refused
    bare = await kubectl("run", "three", "--image=busybox", ok=False)
    assert "failed quota: small: must specify limits.cpu for: three; requests.cpu for: " in bare
    assert "pods          1     1" in await kubectl("describe", "quota", "small")
    await kubectl("delete", "pod", "one", "--now")
    await kubectl.until("pods: 0/1", "get", "quota", "small")
    scoped = ("create", "quota", "calm", "--hard=pods=5", "--scopes=BestEffort")
    assert "created" in await kubectl(*scoped)


async def test_priority_classes_are_made_and_followed(kubectl: Kubectl) -> None:
    listed = await kubectl("get", "priorityclasses")
    assert "system-cluster-critical   2000000000" in listed
    made = ("create", "priorityclass", "usual", "--value=5", "--global-default=true")
    assert "created" in await kubectl(*made)
    await kubectl("run", "web", "--image=busybox")
    path = "jsonpath={.spec.priorityClassName} {.spec.priority} {.spec.preemptionPolicy}"
    assert await kubectl("get", "pod", "web", "-o", path) == "usual 5 PreemptLowerPriority"
    again = ("create", "priorityclass", "other", "--value=6", "--global-default=true")
    assert "already marked as default" in await kubectl(*again, ok=False)
    kept = await kubectl("delete", "priorityclass", "system-node-critical", ok=False)
    assert "this is a system priority class and cannot be deleted" in kept


async def test_pod_security_warns_and_refuses(kubectl: Kubectl) -> None:
    await kubectl("run", "root", "--image=busybox", "--privileged")
    label = "pod-security.kubernetes.io/"
    args = ("label", "namespace", "default", f"{label}warn=restricted", f"{label}enforce=baseline")
    told = await kubectl(*args)
    assert 'Warning: existing pods in namespace "default" violate the new PodSecurity' in told
    assert "Warning: root: privileged" in told
    warned = await kubectl("create", "deployment", "web", "--image=busybox")
    assert 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEsc' in warned
    assert "created" in warned
    refused = await kubectl("run", "again", "--image=busybox", "--privileged", ok=False)
    assert 'is forbidden: violates PodSecurity "baseline:latest": privileged (container' in refused
    bad = ("label", "namespace", "default", f"{label}audit=loose")
    assert "must be one of privileged, baseline, restricted" in await kubectl(*bad, ok=False)


async def test_flow_schemas_know_their_levels(kubectl: Kubectl) -> None:
    await kubectl.until("False", "get", "flowschema", "global-default")
    assert "X-Kubernetes-Pf-Flowschema-Uid" in await kubectl("get", "flowschemas", "-v=8")


LIMITS = """
apiVersion: v1
kind: LimitRange
metadata: {name: sizes}
spec: {limits: [{type: Container, max: {cpu: 2}, defaultRequest: {cpu: 250m}}]}
"""


async def test_limit_ranges_are_described_and_filled_in(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=LIMITS)
    assert "Container   cpu       -    2    250m             2" in (
        await kubectl("describe", "limits", "sizes")
    )
    await kubectl("run", "web", "--image=busybox")
    path = "jsonpath={.spec.containers[0].resources}"
    assert await kubectl("get", "pod", "web", "-o", path) == (
        '{"limits":{"cpu":"2"},"requests":{"cpu":"250m"}}'
    )


STORAGE = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: disks
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: example.com/disks
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


async def test_a_claim_gets_the_default_class_and_can_be_deleted(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=STORAGE)
    listed = await kubectl("get", "pvc", "data")
    assert "disks" in listed
    assert "kubernetes.io/pvc-protection" in await kubectl("describe", "pvc", "data")
    # It waits until the protection is taken off.
    assert "deleted" in await kubectl("delete", "pvc", "data", "--timeout=20s")
