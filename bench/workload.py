"""Pods of a usual kind: apps of a few replicas, each with a Service, a ConfigMap and a Secret."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster

Obj = dict[str, Any]
SECONDS = 300.0


def app(name: str, *, replicas: int, probes: Obj | None = None) -> Iterator[Obj]:
    meta = {"name": name}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "x" * 500}}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"b": "y" * 100}}
    selector, ports = {"app": name}, [{"port": 80}]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": meta,
           "spec": {"selector": selector, "ports": ports}}  # fmt: skip
    template = {"metadata": {"labels": selector}, "spec": pod_spec(name, probes)}
    spec = {"replicas": replicas, "selector": {"matchLabels": selector}, "template": template}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def pod_spec(name: str, probes: Obj | None) -> Obj:
    container = {
        "name": "main",
        "image": BUSYBOX,
        "command": ["httpd", "-f"],
        "volumeMounts": [
            {"name": "settings", "mountPath": "/settings"},
            {"name": "keys", "mountPath": "/keys"},
        ],
        **(probes or {}),
    }
    volumes = [
        {"name": "settings", "configMap": {"name": name}},
        {"name": "keys", "secret": {"secretName": name}},
    ]
    return {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}


def bare_pod(name: str) -> Obj:
    """One container, no volumes but its token: what a start takes at least."""
    container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "100000"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"bench": "start"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


def apply(cluster: RealCluster, objects: Iterator[Obj]) -> None:
    text = "\n---\n".join(json.dumps(obj) for obj in objects)
    cluster.kubectl("apply", "-f", "-", stdin=text)


def running(cluster: RealCluster, *selector: str) -> int:
    pods = cluster.json("pods", *selector)["items"]
    return sum(pod["status"].get("phase") == "Running" for pod in pods)


def wait_running(cluster: RealCluster, count: int, *selector: str) -> None:
    what = f"{count} pods run"
    cluster.wait(what, lambda: running(cluster, *selector) >= count, seconds=SECONDS)
