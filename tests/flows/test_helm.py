"""Helm 4 (and 3) install, upgrade, roll back and remove charts that the test writes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgek.api.meta import Obj, key_of
from edgek.kinds import POD
from tests.support.api import admin
from tests.support.tls_server import Kubectl, TlsServer, tls_server

pytestmark = pytest.mark.timeout(180)

CHART = "apiVersion: v2\nname: shop\nversion: {version}\nappVersion: '1'\n"
VALUES = "greeting: hello\nreplicas: 0\n"
TEMPLATES = {
    "configmap.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-config}
data: {greeting: {{ .Values.greeting | quote }}}
""",
    "deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-web, labels: {app: shop}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: main, image: "busybox:1.36"}]
""",
    "service.yaml": """
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-web}
spec: {selector: {app: shop}, ports: [{port: 80}]}
""",
    "rbac.yaml": """
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
""",
}
HOOK = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-before
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
data: {version: {{ .Chart.Version | quote }}}
"""


def write_chart(folder: Path, *, version: str = "1.0.0", **templates: str) -> str:
    chart = folder / f"shop-{version}"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(CHART.format(version=version))
    (chart / "values.yaml").write_text(VALUES)
    for name, text in {**TEMPLATES, **{f"{k}.yaml": v for k, v in templates.items()}}.items():
        (chart / "templates" / name).write_text(text)
    return str(chart)


@dataclass(frozen=True, kw_only=True)
class Bench:
    server: TlsServer
    helm: Kubectl
    kubectl: Kubectl
    folder: Path


@pytest.fixture(params=["helm", "helm-3"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with tls_server(tmp_path) as server:
        yield Bench(
            server=server,
            helm=server.client(request.param),
            kubectl=server.kubectl,
            folder=tmp_path,
        )


async def greeting(bench: Bench) -> str:
    found = json.loads(await bench.kubectl("get", "configmap", "corner-config", "-o", "json"))
    text: str = found["data"]["greeting"]
    return text


async def test_the_life_of_a_release(bench: Bench) -> None:
    chart = write_chart(bench.folder, hook=HOOK)
    assert "deployed" in await bench.helm("install", "corner", chart, "--wait", "--timeout=30s")
    assert await greeting(bench) == "hello"
    assert "corner-before" in await bench.kubectl("get", "configmaps")
    newer = write_chart(bench.folder, version="2.0.0", hook=HOOK)
    upgraded = await bench.helm(
        "upgrade", "corner", newer, "--set", "greeting=salut", "--wait", "--timeout=30s"
    )
    assert "has been upgraded" in upgraded
    assert await greeting(bench) == "salut"
    history = await bench.helm("history", "corner")
    assert "shop-2.0.0" in history
    assert "superseded" in history
    assert "Rollback was a success" in await bench.helm("rollback", "corner", "1", "--wait")
    assert await greeting(bench) == "hello"
    assert "corner" in await bench.helm("list")
    assert "hello" in await bench.helm("get", "manifest", "corner")
    assert "uninstalled" in await bench.helm("uninstall", "corner", "--wait")
    await eventually_gone(bench.kubectl, "deployments,services,serviceaccounts/corner")
    assert "corner" not in await bench.helm("list", "--all-namespaces")


async def eventually_gone(kubectl: Kubectl, what: str) -> None:
    async with asyncio.timeout(15):
        while "corner" in await kubectl(
            "get", *what.split("/"), "--ignore-not-found", "-o", "name"
        ):
            pass


async def test_wait_ends_when_the_deployment_is_ready(bench: Bench) -> None:
    argv = ("install", "corner", write_chart(bench.folder), "--wait", "--set", "replicas=1")
    install = asyncio.create_task(bench.helm(*argv, timeout=90))
    pod = await first_pod(bench)
    assert not install.done()
    running = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    client = admin(bench.server.running.api)
    await client.patch(POD, key_of(pod), {"status": running}, subresource="status")
    assert "deployed" in await install


async def first_pod(bench: Bench) -> Obj:
    """The pod that the chart's deployment makes."""
    client = admin(bench.server.running.api)
    async with asyncio.timeout(60), client.watch(POD, namespace="default") as events:
        async for event in events:
            if event.type == "ADDED":
                return event.obj
    raise AssertionError("the watch ended")


async def test_a_failed_install_leaves_a_release_that_says_so(bench: Bench) -> None:
    chart = write_chart(
        bench.folder, bad="apiVersion: v1\nkind: Service\nmetadata: {name: UPPER}\n"
    )
    refused = await bench.helm("install", "corner", chart, ok=False)
    assert "UPPER" in refused
    assert "failed" in await bench.helm("list", "--failed")


async def test_a_dry_run_on_the_server_writes_nothing(bench: Bench) -> None:
    chart = write_chart(bench.folder)
    dry_run = "--dry-run" if bench.helm.program.name == "helm-3" else "--dry-run=server"
    await bench.helm("install", "corner", chart, dry_run)
    assert "corner" not in await bench.kubectl("get", "deployments,configmaps,secrets")
