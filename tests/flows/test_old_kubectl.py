"""Old kubectls work: 1.20 and 1.27 read OpenAPI as protobuf and discovery in its older forms."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {k: v}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: "busybox:1.36"}]
"""


@pytest.fixture(params=["kubectl-1.20", "kubectl-1.27"])
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path) as server:
        yield server.client(request.param)


async def test_everyday_commands(kubectl: Kubectl) -> None:
    assert "deployment.apps/web created" in await kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert "deployment.apps/web unchanged" in await kubectl("apply", "-f", "-", stdin=MANIFEST)
    changed = MANIFEST.replace("replicas: 0", "replicas: 1")
    assert "deployment.apps/web configured" in await kubectl("apply", "-f", "-", stdin=changed)
    assert "web " in await kubectl("get", "deployments,configmaps")
    assert "RollingUpdateStrategy:  25%" in await kubectl("describe", "deployment", "web")
    assert "scaled" in await kubectl("scale", "deployment/web", "--replicas=0")
    assert "created" in await kubectl("create", "configmap", "b", "--from-literal=k=v")
    assert "labeled" in await kubectl("label", "configmap/b", "x=y")
    assert "deleted" in await kubectl("delete", "configmap,deployment", "--all", "--wait=false")


async def test_explain_knows_types_and_fields(kubectl: Kubectl) -> None:
    shown = await kubectl("explain", "deployment.spec.strategy")
    assert "rollingUpdate" in shown
    assert "KIND:" in shown


async def test_validation_finds_unknown_fields(kubectl: Kubectl) -> None:
    wrong = MANIFEST.replace("replicas: 0", "replica: 0")
    refused = await kubectl("apply", "-f", "-", stdin=wrong, ok=False)
    assert 'unknown field "replica"' in refused or 'unknown field "spec.replica"' in refused
