"""Every command of kubectl 1.37 that needs no node, against the real server.

test_kubectl.py has the everyday ones in depth; here each command and each mode is used once and
what it did is looked at.
"""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from edgek.api.meta import Obj
from edgek.kinds import NODE
from tests.support.api import admin
from tests.support.objects import client_request
from tests.support.tls_server import Kubectl, TlsServer, tls_server

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path) as running:
        yield running


@pytest.fixture
def kubectl(server: TlsServer) -> Kubectl:
    return server.kubectl


async def get(kubectl: Kubectl, *what: str) -> Any:
    return json.loads(await kubectl("get", *what, "-o", "json"))


def manifest(name: str = "a", **data: str) -> str:
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    )


CREATES = (
    ("clusterrole", "watcher --verb=get,list --resource=pods"),
    ("clusterrole", "sum --aggregation-rule=example.com/sum=yes"),
    ("clusterrolebinding", "watcher --clusterrole=watcher --group=guards"),
    ("configmap", "settings --from-literal=a=b"),
    ("cronjob", "nightly --image=busybox --schedule=0_1_*_*_*"),
    ("deployment", "web --image=busybox --replicas=0 --port=80"),
    ("ingress", "front --rule=shop.example.com/*=web:80,tls=cert --class=nginx"),
    ("job", "once --image=busybox"),
    ("namespace", "shop"),
    ("poddisruptionbudget", "web --selector=app=web --min-available=50%"),
    ("priorityclass", "high --value=1000 --description=high"),
    ("quota", "small --hard=configmaps=10,count/deployments.apps=5"),
    ("role", "reader --verb=get --resource=configmaps --resource-name=a"),
    ("rolebinding", "reader --role=reader --serviceaccount=default:robot"),
    ("secret", "generic key --from-literal=a=b"),
    ("secret", "docker-registry pull --docker-username=u --docker-password=p"),
    ("service", "clusterip back --tcp=80:8080"),
    ("service", "nodeport front --tcp=80:8080"),
    ("service", "loadbalancer wide --tcp=80:8080"),
    ("service", "externalname far --external-name=example.com"),
    ("serviceaccount", "robot"),
)


async def test_create_of_everything(kubectl: Kubectl) -> None:
    for noun, rest in CREATES:
        argv = [word.replace("_", " ") for word in rest.split()]
        assert "created" in await kubectl("create", noun, *argv), noun
    cron = await get(kubectl, "cronjob", "nightly")
    assert cron["spec"]["schedule"] == "0 1 * * *"
    assert cron["spec"]["concurrencyPolicy"] == "Allow"
    assert (await get(kubectl, "job", "once"))["spec"]["backoffLimit"] == 6
    [rule] = (await get(kubectl, "ingress", "front"))["spec"]["rules"]
    assert rule["http"]["paths"][0]["pathType"] == "Prefix"
    assert (await get(kubectl, "pdb", "web"))["spec"]["minAvailable"] == "50%"
    token = await kubectl("create", "token", "robot", "--duration=1h", "--audience=example")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == ["example"]
    again = await kubectl("create", "namespace", "shop", ok=False)
    assert 'namespaces "shop" already exists' in again


async def test_a_job_can_come_from_a_cronjob(kubectl: Kubectl) -> None:
    await kubectl("create", "cronjob", "nightly", "--image=busybox", "--schedule=@daily")
    await kubectl("create", "job", "now", "--from=cronjob/nightly")
    [owner] = (await get(kubectl, "job", "now"))["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("CronJob", "nightly")


async def test_apply_on_the_client(kubectl: Kubectl, tmp_path: Path) -> None:
    assert "created" in await kubectl("apply", "-f", "-", stdin=manifest(a="1", b="2"))
    assert "configured" in await kubectl("apply", "-f", "-", stdin=manifest(a="1"))
    assert (await get(kubectl, "configmap", "a"))["data"] == {"a": "1"}
    assert '"a":"1"' in (await kubectl("apply", "view-last-applied", "cm/a", "-o", "json")).replace(
        " ", ""
    )
    path = tmp_path / "a.json"
    path.write_text(manifest(a="3"))
    await kubectl("apply", "set-last-applied", "-f", str(path))
    assert '"a": "3"' in await kubectl("apply", "view-last-applied", "cm/a", "-o", "json")
    assert 'a: "3"' in await kubectl("apply", "--force", "-f", str(path), "-o", "yaml")


async def test_apply_on_the_server(kubectl: Kubectl) -> None:
    argv = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in await kubectl(*argv, stdin=manifest(a="1"))
    await kubectl("patch", "cm", "a", "--type=merge", "-p", '{"data":{"a":"2"}}')
    refused = await kubectl(*argv, stdin=manifest(a="3"), ok=False)
    assert 'conflict with "kubectl-patch" using v1: .data.a' in refused
    await kubectl(*argv, "--force-conflicts", stdin=manifest(a="3"))
    found = json.loads(await kubectl("get", "cm", "a", "-o", "json", "--show-managed-fields"))
    assert found["data"] == {"a": "3"}
    applied = [e for e in found["metadata"]["managedFields"] if e["operation"] == "Apply"]
    assert [e["manager"] for e in applied] == ["kubectl"]


async def test_apply_prunes_what_is_no_longer_there(kubectl: Kubectl) -> None:
    def labelled(name: str) -> Obj:
        obj: Obj = json.loads(manifest(name))
        obj["metadata"]["labels"] = {"set": "x"}
        return obj

    both = json.dumps({"apiVersion": "v1", "kind": "List", "items": [labelled("a"), labelled("b")]})
    one = json.dumps(labelled("a"))
    argv = ("apply", "--prune", "-l", "set=x", "-f", "-", "--prune-allowlist=core/v1/ConfigMap")
    await kubectl(*argv, stdin=both)
    assert "configmap/b pruned" in await kubectl(*argv, stdin=one)


async def test_apply_prunes_by_apply_set(kubectl: Kubectl) -> None:
    kubectl.environment["KUBECTL_APPLYSET"] = "true"
    argv = ("apply", "--prune", "--applyset=secret/set", "-n", "default", "-f", "-")
    both = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [json.loads(manifest(n)) for n in "ab"]}
    )
    await kubectl(*argv, stdin=both)
    assert "configmap/b pruned" in await kubectl(*argv, stdin=manifest("a"))


async def test_diff(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest(a="1"))
    assert await kubectl("diff", "-f", "-", stdin=manifest(a="1")) == ""
    shown = await kubectl("diff", "-f", "-", stdin=manifest(a="2"), ok=False)
    assert '+  a: "2"' in shown
    assert '-  a: "1"' in shown
    await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("s", a="1"))
    server = await kubectl("diff", "--server-side", "-f", "-", stdin=manifest("s", a="2"), ok=False)
    assert '+  a: "2"' in server


async def test_edit(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "a", "--from-literal=k=old")
    kubectl.environment["KUBE_EDITOR"] = "sed -i s/old/new/"
    assert "configmap/a edited" in await kubectl("edit", "configmap", "a")
    assert (await get(kubectl, "cm", "a"))["data"] == {"k": "new"}
    await kubectl("apply", "-f", "-", stdin=manifest("b", k="old"))
    await kubectl("apply", "edit-last-applied", "cm/b")
    assert '"k": "new"' in await kubectl("apply", "view-last-applied", "cm/b", "-o", "json")


async def test_patch_of_a_subresource(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=busybox", "--replicas=0")
    status = '{"status":{"conditions":[{"type":"Odd","status":"True"}]}}'
    await kubectl("patch", "deployment", "web", "--subresource=status", "-p", status)
    await kubectl(
        "patch", "deployment", "web", "--subresource=scale", "--type=merge",
        "-p", '{"spec":{"replicas":3}}',
    )  # fmt: skip
    assert (await get(kubectl, "deployment", "web"))["spec"]["replicas"] == 3
    scale = json.loads(
        await kubectl("get", "deployment", "web", "--subresource=scale", "-o", "json")
    )
    assert scale["kind"] == "Scale"


ALSO_CORE = ("events.events.k8s.io", "nodes.metrics.k8s.io", "pods.metrics.k8s.io")
"""kubectl explain takes these for fields of the core's kinds of the same name."""


async def test_explain_knows_every_kind(kubectl: Kubectl) -> None:
    listed = await kubectl("api-resources", "--no-headers", "-o", "name")
    for name in listed.split():
        if name in ALSO_CORE:
            continue
        assert "KIND:" in await kubectl("explain", name), name
    version = "--api-version=metrics.k8s.io/v1beta1"
    assert "NodeMetrics" in await kubectl("explain", "nodes.usage", version)
    recursive = await kubectl("explain", "cronjobs.spec", "--recursive")
    assert "ttlSecondsAfterFinished" in recursive
    assert "FIELD: maxSurge" in await kubectl(
        "explain", "deployments.spec.strategy.rollingUpdate.maxSurge"
    )
    hpa = await kubectl("explain", "hpa.spec.metrics", "--api-version=autoscaling/v2")
    assert "containerResource" in hpa


async def test_auth(kubectl: Kubectl) -> None:
    assert "yes" in await kubectl("auth", "can-i", "create", "deployments.apps")
    await kubectl("create", "serviceaccount", "robot")
    robot = "--as=system:serviceaccount:default:robot"
    assert "no" in await kubectl("auth", "can-i", "get", "pods", robot, ok=False)
    roles = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: robot, namespace: default}]
"""
    assert "reconciled" in await kubectl("auth", "reconcile", "-f", "-", stdin=roles)
    assert "yes" in await kubectl("auth", "can-i", "list", "pods", robot)
    assert "[get list]" in await kubectl("auth", "can-i", "--list", robot)
    assert "system:serviceaccount:default:robot" in await kubectl("auth", "whoami", robot)
    assert "system:masters" in await kubectl("auth", "whoami")


async def test_certificate(kubectl: Kubectl) -> None:
    for name in ("jane", "john"):
        await kubectl("apply", "-f", "-", stdin=json.dumps(client_request(name)))
    assert "approved" in await kubectl("certificate", "approve", "jane")
    assert "denied" in await kubectl("certificate", "deny", "john")
    await kubectl("wait", "csr/jane", "--for=jsonpath={.status.certificate}", "--timeout=20s")
    issued = base64.b64decode((await get(kubectl, "csr", "jane"))["status"]["certificate"])
    assert "jane" in x509.load_pem_x509_certificate(issued).subject.rfc4514_string()
    assert "Denied" in await kubectl("get", "csr", "john")


async def test_label_and_annotate(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "a")
    await kubectl("label", "cm", "a", "x=1", "y=2")
    assert "already has a value" in await kubectl("label", "cm", "a", "x=3", ok=False)
    await kubectl("label", "cm", "a", "x=3", "y-", "--overwrite")
    await kubectl("annotate", "cm", "--all", "note=hi")
    meta = (await get(kubectl, "cm", "a"))["metadata"]
    assert (meta["labels"], meta["annotations"]) == ({"x": "3"}, {"note": "hi"})
    assert "x=3" in await kubectl("label", "cm", "a", "--list")
    refused = await kubectl("label", "cm", "a", "bad key=1", ok=False)
    assert "name part must consist of alphanumeric characters" in refused


async def test_replace_by_force_makes_it_anew(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=manifest(a="1"))
    before = (await get(kubectl, "cm", "a"))["metadata"]["uid"]
    await kubectl("replace", "--force", "-f", "-", stdin=manifest(a="2"))
    after = await get(kubectl, "cm", "a")
    assert after["metadata"]["uid"] != before
    assert after["data"] == {"a": "2"}


async def test_wait(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=manifest(a="1"))
    await kubectl("wait", "cm/a", "--for=jsonpath={.data.a}=1", "--timeout=10s")
    await kubectl("wait", "cm/a", "--for=create", "--timeout=10s")
    timed_out = await kubectl("wait", "cm/a", "--for=delete", "--timeout=1s", ok=False)
    assert "timed out" in timed_out
    await kubectl("delete", "cm", "a", "--wait=false")
    await kubectl("wait", "cm/a", "--for=delete", "--timeout=10s")


async def test_kustomize(kubectl: Kubectl, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "a.json").write_text(manifest(a="1"))
    (folder / "kustomization.yaml").write_text(
        "resources: [a.json]\nnamePrefix: big-\n"
        "labels: [{pairs: {team: x}, includeSelectors: true}]\n"
    )
    assert "name: big-a" in await kubectl("kustomize", str(folder))
    assert "configmap/big-a created" in await kubectl("apply", "-k", str(folder))
    assert "configmap/big-a unchanged" in await kubectl("apply", "-k", str(folder))
    assert "deleted" in await kubectl("delete", "-k", str(folder))


async def test_run_expose_and_set(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=busybox", "--replicas=0", "--port=80")
    assert "service/web exposed" in await kubectl("expose", "deployment", "web", "--port=80")
    for argv in (
        ("image", "deployment/web", "busybox=busybox:2"),
        ("env", "deployment/web", "A=b"),
        ("resources", "deployment/web", "--limits=cpu=200m,memory=64Mi"),
        ("serviceaccount", "deployment/web", "default"),
        ("selector", "service/web", "app=other"),
    ):
        assert "updated" in await kubectl("set", *argv), argv
    spec = (await get(kubectl, "deployment", "web"))["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert container["image"] == "busybox:2"
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert container["resources"]["limits"] == {"cpu": "200m", "memory": "64Mi"}
    await kubectl("create", "rolebinding", "r", "--clusterrole=view", "--user=jane")
    assert "updated" in await kubectl("set", "subject", "rolebinding", "r", "--group=guards")
    await kubectl("wait", "serviceaccount/default", "--for=create", "--timeout=10s")
    assert "pod/one created" in await kubectl("run", "one", "--image=busybox", "--labels=a=b")
    assert "one" in await kubectl("get", "pods", "-l", "a=b", "--field-selector=spec.nodeName=")


async def test_rollout_scale_and_autoscale(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=busybox", "--replicas=0")
    assert "successfully rolled out" in await kubectl(
        "rollout", "status", "deployment/web", "--timeout=20s"
    )
    await kubectl("set", "image", "deployment/web", "busybox=busybox:2")
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    history = await kubectl("rollout", "history", "deployment/web")
    assert "2 " in history
    await kubectl("rollout", "pause", "deployment/web")
    assert "paused" in await kubectl("rollout", "undo", "deployment/web", ok=False)
    await kubectl("rollout", "resume", "deployment/web")
    await kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    [container] = (await get(kubectl, "deployment", "web"))["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == "busybox"
    await kubectl("rollout", "restart", "deployment/web")
    assert "scaled" in await kubectl("scale", "deployment/web", "--replicas=2")
    stale = await kubectl(
        "scale", "deployment/web", "--current-replicas=9", "--replicas=1", ok=False
    )
    assert "Expected replicas to be 9, was 2" in stale
    await kubectl("autoscale", "deployment/web", "--min=1", "--max=3", "--cpu=80%")
    found = await get(kubectl, "hpa", "web")
    assert found["spec"]["maxReplicas"] == 3
    old = await get(kubectl, "horizontalpodautoscalers.v1.autoscaling", "web")
    assert old["spec"]["targetCPUUtilizationPercentage"] == 80


async def test_nodes_are_cordoned_tainted_and_drained(server: TlsServer) -> None:
    kubectl = server.kubectl
    await admin(server.running.api).create(
        NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    )
    assert "cordoned" in await kubectl("cordon", "n1")
    assert "SchedulingDisabled" in await kubectl("get", "nodes")
    assert "uncordoned" in await kubectl("uncordon", "n1")
    assert "tainted" in await kubectl("taint", "node", "n1", "key=value:NoSchedule")
    assert "untainted" in await kubectl("taint", "node", "n1", "key-")
    assert "drained" in await kubectl("drain", "n1", "--timeout=20s")
    assert "Taints:" in await kubectl("describe", "node", "n1")


async def test_looking_around(kubectl: Kubectl) -> None:
    assert "apps/v1" in await kubectl("api-versions")
    assert "control plane" in await kubectl("cluster-info")
    assert "ok" in await kubectl("get", "--raw", "/readyz")
    await kubectl("create", "deployment", "web", "--image=busybox", "--replicas=1")
    await kubectl("wait", "deployment/web", "--for=jsonpath={.status.replicas}=1", "--timeout=20s")
    await kubectl("wait", "pod", "-l=app=web", "--for=condition=PodScheduled=False",
                  "--timeout=20s")  # fmt: skip
    assert "ScalingReplicaSet" in await kubectl("events", "--for=deployment/web")
    assert "deployment.apps/web" in await kubectl("get", "all")
    assert "ScalingReplicaSet" in await kubectl("describe", "deployment", "web")
    assert "Controlled By:  Deployment/web" in await kubectl("describe", "all")
    top = await kubectl("top", "nodes", ok=False)
    assert "metrics not available yet" in top  # no node has an agent here
    custom = await kubectl("get", "deployments", "-o", "custom-columns=N:.metadata.name")
    assert custom.split() == ["N", "web"]
    names = await kubectl(
        "get", "deployments,replicasets", "--sort-by=.metadata.name", "-o", "name"
    )
    assert names.startswith("deployment.apps/web")


async def test_debug_adds_an_ephemeral_container(kubectl: Kubectl) -> None:
    await kubectl("wait", "serviceaccount/default", "--for=create", "--timeout=20s")
    await kubectl("run", "one", "--image=busybox")
    await kubectl("debug", "one", "--image=busybox:2", "-c", "look", "--attach=false")
    spec = (await get(kubectl, "pod", "one"))["spec"]
    assert [c["name"] for c in spec["ephemeralContainers"]] == ["look"]
