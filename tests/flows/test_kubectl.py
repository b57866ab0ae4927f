"""Unmodified kubectl 1.37 against the real server: every everyday command that needs no node."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: main, image: "busybox:1.36", ports: [{containerPort: 80}]}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path) as server:
        # The default service account is a controller's work; pods need it.
        await server.kubectl.until("default", "get", "serviceaccounts", "-o", "name")
        yield server.kubectl


async def test_version_and_resources(kubectl: Kubectl) -> None:
    assert "v1.37" in await kubectl("version")
    listed = await kubectl("api-resources", "-o", "wide")
    assert "deployments" in listed
    assert "create,delete,deletecollection,get,list,patch,update,watch" in listed


async def test_apply_get_describe_delete(kubectl: Kubectl) -> None:
    assert "created" in await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "unchanged" in await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    changed = DEPLOYMENT.replace("tier: front", "tier: back")
    assert "configured" in await kubectl("apply", "-f", "-", stdin=changed)
    assert "busybox:1.36" in await kubectl("get", "deployment", "web", "-o", "wide")
    found = json.loads(await kubectl("get", "deployment", "web", "-o", "json"))
    assert found["metadata"]["labels"] == {"tier": "back"}
    assert "name: web" in await kubectl("get", "deployment", "web", "-o", "yaml")
    assert "RollingUpdateStrategy:  25%" in await kubectl("describe", "deployment", "web")
    assert "deleted" in await kubectl("delete", "deployment", "web")
    assert "not found" in await kubectl("get", "deployment", "web", ok=False)


async def test_typed_creates_that_send_protobuf(kubectl: Kubectl) -> None:
    for command in (
        "namespace one",
        "configmap settings --from-literal=a=b",
        "secret generic key --from-literal=a=b",
        "serviceaccount robot",
        "service clusterip back --tcp=80:8080",
        "service nodeport front --tcp=80:8080",
        "deployment web --image=busybox --replicas=2",
        "role reader --verb=get --resource=pods",
        "clusterrole reader --verb=get --resource=nodes",
        "rolebinding reader --role=reader --serviceaccount=default:robot",
        "clusterrolebinding reader --clusterrole=reader --user=jane",
    ):
        assert "created" in await kubectl("create", *command.split())
    data = await kubectl("get", "configmap", "settings", "-o", "jsonpath={.data.a}")
    assert data == "b"
    assert (await kubectl("create", "token", "robot")).count(".") == 2


async def test_edits_of_every_kind(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("scale", "deployment", "web", "--replicas=5")
    await kubectl("label", "deployment", "web", "a=b")
    await kubectl("annotate", "deployment", "web", "note=hello there")
    await kubectl("set", "image", "deployment/web", "main=busybox:2")
    await kubectl("patch", "deployment", "web", "-p", '{"spec":{"minReadySeconds":7}}')
    await kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"paused":true}}')
    await kubectl(
        "patch", "deployment", "web", "--type=json",
        "-p", '[{"op":"replace","path":"/spec/paused","value":false}]',
    )  # fmt: skip
    found = json.loads(await kubectl("get", "deployment", "web", "-o", "json"))
    assert found["spec"]["replicas"] == 5
    assert found["metadata"]["labels"] == {"tier": "front", "a": "b"}
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox:2"
    assert found["spec"]["minReadySeconds"] == 7
    # The proto form of upstream omits false; ours keeps what a client has set.
    assert not found["spec"].get("paused")


async def test_replace_keeps_to_the_version_it_was_read_at(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "x", "--from-literal=a=b")
    read = await kubectl("get", "configmap", "x", "-o", "json")
    await kubectl("label", "configmap", "x", "changed=yes")
    assert "has been modified" in await kubectl("replace", "-f", "-", stdin=read, ok=False)


async def test_explain_and_validation_come_from_the_schema(kubectl: Kubectl) -> None:
    assert "maxSurge" in await kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "recursiveReadOnly" in await kubectl("explain", "pod.spec", "--recursive")
    wrong = DEPLOYMENT.replace("replicas: 2", "replicaz: 2")
    assert 'unknown field "spec.replicaz"' in await kubectl(
        "apply", "-f", "-", stdin=wrong, ok=False
    )
    assert "unknown field" in await kubectl("apply", "--validate=warn", "-f", "-", stdin=wrong)


async def test_dry_runs_leave_nothing(kubectl: Kubectl) -> None:
    await kubectl("apply", "--dry-run=server", "-f", "-", stdin=DEPLOYMENT)
    assert "not found" in await kubectl("get", "deployment", "web", ok=False)


async def test_selectors_and_sorting(kubectl: Kubectl) -> None:
    for name in ("a", "b", "c"):
        await kubectl("create", "configmap", name)
    await kubectl("label", "configmap", "a", "x=1")
    await kubectl("label", "configmap", "b", "x=2")
    listed = await kubectl("get", "configmaps", "-l", "x in (1,2)", "-o", "name")
    assert listed.split() == ["configmap/a", "configmap/b"]
    one = await kubectl("get", "configmaps", "--field-selector=metadata.name=c", "-o", "name")
    assert one.split() == ["configmap/c"]
    assert "label not supported" in await kubectl(
        "get", "configmaps", "--field-selector=data.a=b", ok=False
    )


async def test_a_watch_shows_changes_as_they_come(kubectl: Kubectl) -> None:
    watching = asyncio.create_task(
        kubectl("get", "configmap", "-w", "--output-watch-events", "--request-timeout=4s")
    )
    try:
        async with asyncio.timeout(10):
            await asyncio.sleep(1)
            await kubectl("create", "configmap", "x")
            await kubectl("label", "configmap", "x", "a=b")
            await kubectl("delete", "configmap", "x")
            seen = await watching
    finally:
        watching.cancel()
    assert [line.split()[0] for line in seen.splitlines() if " x " in line] == [
        "ADDED", "MODIFIED", "DELETED",
    ]  # fmt: skip


async def test_wait_sees_conditions_and_deletion(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("wait", "--for=condition=Progressing", "deployment/web", "--timeout=10s")
    waiting = asyncio.create_task(
        kubectl("wait", "--for=delete", "deployment/web", "--timeout=15s")
    )
    await kubectl("delete", "deployment", "web")
    await waiting


async def test_pods_come_from_deployments_and_wait_for_a_node(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("wait", "--for=jsonpath={.status.replicas}=2", "deployment/web", "--timeout=10s")
    pods = await kubectl("get", "pods")
    assert pods.count("Pending") == 2
    await kubectl(
        "wait", "--for=condition=PodScheduled=false", "pods", "-l", "app=web", "--timeout=10s"
    )
    one = (await kubectl("get", "pods", "-o", "name")).split()[0]
    await kubectl.until("no nodes available to schedule pods", "describe", one)


async def test_deleting_a_namespace_empties_it(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "gone")
    await kubectl("-n", "gone", "apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("delete", "namespace", "gone", "--timeout=20s")
    assert "NotFound" in await kubectl("get", "namespace", "gone", ok=False)
    assert "No resources found" in await kubectl("-n", "gone", "get", "deployments,pods")


async def test_rights_are_what_rbac_says(kubectl: Kubectl) -> None:
    await kubectl("create", "serviceaccount", "robot")
    token = (await kubectl("create", "token", "robot")).strip()
    await kubectl("config", "set-credentials", "robot", f"--token={token}")
    await kubectl("config", "set-context", "--current", "--user=robot")
    refused = await kubectl("get", "pods", ok=False)
    assert (
        'pods is forbidden: User "system:serviceaccount:default:robot" cannot list resource '
        '"pods" in API group "" in the namespace "default"'
    ) in refused
