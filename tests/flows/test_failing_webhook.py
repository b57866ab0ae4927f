"""A webhook that cannot be reached stops what it guards, visibly and quietly, until it goes."""

import json
from pathlib import Path

import pytest

from tests.support.tls_server import free_port, tls_server

pytestmark = pytest.mark.timeout(120)
MAKES = 30
"""Tries to make a pod in the first seconds that are still no storm: back-off doubles them."""


def guard(port: int) -> str:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["pods"]}  # fmt: skip
    hook = {
        "name": "pods.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/check"},
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
    }
    return json.dumps(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "guard"},
            "webhooks": [hook],
        }
    )


async def test_pods_wait_for_a_webhook_that_is_gone(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        kubectl = server.kubectl
        await kubectl("apply", "-f", "-", stdin=guard(free_port()))
        await kubectl("create", "deployment", "web", "--image=busybox", "--replicas=2")
        await kubectl("wait", "deployment/web", "--for=condition=ReplicaFailure", "--timeout=30s")
        said = await kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
        assert 'failed calling webhook "pods.example.com"' in said
        counts = await kubectl(
            "get", "events", "--field-selector=reason=FailedCreate", "-o",
            "jsonpath={range .items[*]}{.count}{' '}{end}",
        )  # fmt: skip
        assert sum(int(n) for n in counts.split()) < MAKES
        assert "No resources found" in await kubectl("get", "pods")
        await kubectl("delete", "validatingwebhookconfiguration", "guard")
        await kubectl(
            "wait", "deployment/web", "--for=jsonpath={.status.replicas}=2", "--timeout=60s"
        )
        await kubectl("wait", "deployment/web", "--for=condition=Progressing", "--timeout=30s")
