"""Pods of busybox in a real cluster, made and waited for by kubectl."""

import json
from typing import Any

from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster


def container(script: str, name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": BUSYBOX, "command": ["sh", "-c", script], **more}


def apply(cluster: RealCluster, name: str, *containers: dict[str, Any], **spec: Any) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def ready(cluster: RealCluster, name: str) -> None:
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    except AssertionError as err:
        raise AssertionError(cluster.kubectl("describe", "pod", name)) from err
