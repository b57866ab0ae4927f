"""kubectl 1.37 and the managers of fields: server-side apply, conflicts, the way over from
client-side apply, and under which name each of kubectl's commands writes."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

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
MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1", b: "2"}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path, loops=False) as server:  # controllers are managers too
        yield server.kubectl


async def managers(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    """Of each "manager operation subresource" its fields."""
    found = json.loads(await kubectl("get", *what, "-o", "json", "--show-managed-fields"))
    return {
        " ".join(filter(None, (e["manager"], e["operation"], e.get("subresource")))): e["fieldsV1"]
        for e in found["metadata"].get("managedFields", ())
    }


async def test_apply_conflict_force(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in await kubectl(*apply, stdin=DEPLOYMENT)
    assert list(await managers(kubectl, "deployment", "web")) == ["kubectl Apply"]
    await kubectl("scale", "deployment", "web", "--replicas=5")
    owned = await managers(kubectl, "deployment", "web")
    assert owned["kubectl Update scale"] == {"f:spec": {"f:replicas": {}}}
    refused = await kubectl(*apply, stdin=DEPLOYMENT, ok=False)
    assert "Apply failed with 1 conflict" in refused
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1' in refused
    assert ".spec.replicas" in refused
    assert "serverside-applied" in await kubectl(*apply, "--force-conflicts", stdin=DEPLOYMENT)
    assert "kubectl Update scale" not in await managers(kubectl, "deployment", "web")
    again = await kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.resourceVersion}")
    await kubectl(*apply, stdin=DEPLOYMENT)
    assert again == await kubectl(
        "get", "deployment", "web", "-o", "jsonpath={.metadata.resourceVersion}"
    )


async def test_field_managers_share_an_object(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-", "--field-manager")
    await kubectl(*apply, "one", stdin=MAP)
    await kubectl(*apply, "two", stdin=MAP.replace('a: "1", b: "2"', 'c: "3"'))
    assert list(await managers(kubectl, "configmap", "settings")) == ["one Apply", "two Apply"]
    await kubectl(*apply, "one", stdin=MAP.replace(', b: "2"', ""))
    data = await kubectl("get", "configmap", "settings", "-o", "jsonpath={.data}")
    assert json.loads(data) == {"a": "1", "c": "3"}


async def test_over_from_client_side_apply_and_back(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=MAP)
    assert list(await managers(kubectl, "configmap", "settings")) == [
        "kubectl-client-side-apply Update"
    ]
    viewed = await kubectl("apply", "view-last-applied", "configmap/settings", "-o", "json")
    assert json.loads(viewed)["data"] == {"a": "1", "b": "2"}
    less = MAP.replace(', b: "2"', "")
    assert "serverside-applied" in await kubectl("apply", "--server-side", "-f", "-", stdin=less)
    owned = await managers(kubectl, "configmap", "settings")
    # kubectl has moved its own entry over, and given the annotation one of its own.
    assert list(owned) == ["kubectl Apply", "kubectl-last-applied Apply"]
    data = await kubectl("get", "configmap", "settings", "-o", "jsonpath={.data}")
    assert json.loads(data) == {"a": "1"}
    viewed = await kubectl("apply", "view-last-applied", "configmap/settings", "-o", "json")
    assert "b" not in json.loads(viewed)["data"], "the annotation was kept true"
    await kubectl("apply", "-f", "-", stdin=MAP.replace('b: "2"', 'c: "3"'))
    data = await kubectl("get", "configmap", "settings", "-o", "jsonpath={.data}")
    assert json.loads(data) == {"a": "1", "c": "3"}


COMMANDS = (
    ("kubectl-label", "label deployment web x=y"),
    ("kubectl-annotate", "annotate deployment web x=y"),
    ("kubectl-set", "set image deployment/web main=busybox:1.37"),
    ("kubectl-patch", 'patch deployment web -p {"spec":{"minReadySeconds":3}}'),
    ("kubectl-rollout", "rollout restart deployment/web"),
    ("kubectl-autoscale", "autoscale deployment web --max=3"),
    ("kubectl-expose", "expose deployment web --port=80"),
)


async def test_each_command_writes_under_its_own_name(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    for manager, command in COMMANDS:
        await kubectl(*command.split())
        what = {
            "kubectl-autoscale": ("hpa", "web"),
            "kubectl-expose": ("service", "web"),
        }.get(manager, ("deployment", "web"))
        assert f"{manager} Update" in await managers(kubectl, *what), command
    assert "kubectl-create Update" in await managers(kubectl, "deployment", "web")
    await kubectl("create", "serviceaccount", "default")
    await kubectl("run", "one", "--image=busybox")
    assert "kubectl-run Update" in await managers(kubectl, "pod", "one")
    await kubectl("create", "-f", "-", stdin=MAP)
    await kubectl("replace", "-f", "-", stdin=MAP.replace('"2"', '"3"'))
    owned = await managers(kubectl, "configmap", "settings")
    assert owned["kubectl-replace Update"] == {"f:data": {"f:b": {}}}
    sed = "sed -i 's/a: .1./a: \"9\"/'"
    await replace(kubectl, environment={"KUBE_EDITOR": sed})("edit", "configmap", "settings")
    owned = await managers(kubectl, "configmap", "settings")
    assert owned["kubectl-edit Update"] == {"f:data": {"f:a": {}}}


async def test_unknown_fields_and_dry_runs(kubectl: Kubectl) -> None:
    stray = MAP + "stray: 1\n"
    refused = await kubectl("apply", "--server-side", "-f", "-", stdin=stray, ok=False)
    assert "field not declared in schema" in refused
    told = await kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=MAP)
    assert "serverside-applied (server dry run)" in told
    assert "not found" in await kubectl("get", "configmap", "settings", ok=False)
    await kubectl("apply", "--server-side", "-f", "-", stdin=MAP)
    difference = await kubectl(
        "diff", "--server-side", "-f", "-", stdin=MAP.replace('"2"', '"3"'), ok=False
    )
    assert '+  b: "3"' in difference
