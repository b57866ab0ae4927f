"""Unmodified kubectl with the kinds that nothing acts on yet, and with removed versions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgek.api.meta import get_path
from edgek.kinds import (
    ALL,
    COMPAT_BETAS,
    CSI_DRIVER,
    CSI_NODE,
    DEVICE_CLASS,
    EVENT_V1,
    INGRESS,
    INGRESS_CLASS,
    NETWORK_POLICY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    RESOURCE_CLAIM,
    RESOURCE_SLICE,
    STORAGE_CLASS,
)
from edgek.kinds.kind import Kind
from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)

SHOWN = (
    INGRESS, INGRESS_CLASS, NETWORK_POLICY, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS, CSI_DRIVER, CSI_NODE, RESOURCE_CLAIM, RESOURCE_SLICE,
    DEVICE_CLASS,
)  # fmt: skip
"""No IPAddress and no VolumeAttachment: controllers take away those that nobody needs."""
EXAMPLES = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [{**kind.example} for kind in SHOWN],
}


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path, compat_betas=True) as server:
        yield server.kubectl


def resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.version}.{kind.group}" if kind.group else kind.plural


async def test_apply_again_get_describe_delete(kubectl: Kubectl) -> None:
    text = json.dumps(EXAMPLES)
    assert (await kubectl("apply", "-f", "-", stdin=text)).count(" created") == len(SHOWN)
    # In these two a default goes into a list that is replaced as a whole, as upstream.
    again = await kubectl("apply", "-f", "-", stdin=text)
    configured = {line.split()[0] for line in again.splitlines() if " configured" in line}
    assert configured == {
        "networkpolicy.networking.k8s.io/web",
        "resourceclaim.resource.k8s.io/camera",
    }
    assert again.count(" unchanged") == len(SHOWN) - len(configured)
    for kind in SHOWN:
        name = kind.example["metadata"]["name"]
        assert name in await kubectl("get", resource(kind), "-o", "wide")
        assert name in await kubectl("describe", resource(kind), name)
    assert (await kubectl("delete", "-f", "-", stdin=text)).count(" deleted") == len(SHOWN)


async def test_server_side_apply_takes_them_too(kubectl: Kubectl) -> None:
    text = json.dumps(EXAMPLES)
    command = ("apply", "--server-side", "-f", "-")
    assert (await kubectl(*command, stdin=text)).count("serverside-applied") == len(SHOWN)


async def test_short_names_and_explanations(kubectl: Kubectl) -> None:
    for word in ("ing", "netpol", "pv", "pvc", "sc", "vac", "ip", "ev"):
        await kubectl("get", word)
    assert "KIND:       Ingress" in await kubectl("explain", "ingress.spec.rules.http.paths")


async def test_creates_of_its_own(kubectl: Kubectl) -> None:
    rule = "--rule=web.example.com/*=web:80,tls=cert"
    assert "created" in await kubectl("create", "ingress", "web", "--class=proxy", rule)
    found = json.loads(await kubectl("get", "ingress", "web", "-o", "json"))
    path = get_path(found, "spec", "rules", 0, "http", "paths", 0)
    assert (path["pathType"], path["backend"]["service"]["port"]) == ("Prefix", {"number": 80})
    assert "80, 443" in await kubectl("get", "ingress")


async def test_a_cluster_begins_with_flow_control_and_a_service_range(kubectl: Kubectl) -> None:
    flows = await kubectl("get", "flowschemas")
    assert "system-leader-election" in flows
    levels = await kubectl("get", "prioritylevelconfigurations")
    assert {"exempt", "catch-all", "global-default"} <= set(levels.split())
    assert "kubernetes" in await kubectl("get", "servicecidrs")


async def test_the_control_plane_says_that_it_is_well(kubectl: Kubectl) -> None:
    shown = await kubectl("get", "componentstatuses")
    assert shown.startswith("Warning: v1 ComponentStatus is deprecated in v1.19+")
    assert shown.count("Healthy") == 3


async def test_events_are_shown_whoever_wrote_them(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=json.dumps(dict(EVENT_V1.example)))
    assert "Assigned default/web to worker-1" in await kubectl("events")
    assert "Scheduled" in await kubectl("get", "events.v1.events.k8s.io")


async def test_removed_versions_are_served_with_a_warning(kubectl: Kubectl) -> None:
    versions = (await kubectl("api-versions")).split()
    assert {f"{k.group}/{k.version}" for k in COMPAT_BETAS} <= set(versions)
    betas = {k.storage_prefix: k for k in COMPAT_BETAS if k.version == "v1beta1"}
    for kind in (INGRESS, *(k for k in ALL if k.plural in ("poddisruptionbudgets", "cronjobs"))):
        beta = betas[kind.storage_prefix]
        answer = await kubectl("apply", "-f", "-", stdin=json.dumps(dict(beta.example)))
        assert f"Warning: {beta.warning}" in answer
        name = kind.example["metadata"]["name"]
        assert name in await kubectl("get", resource(beta), name)
        assert "Warning" not in await kubectl("get", resource(kind), name)
