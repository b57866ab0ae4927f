"""An autoscaler and a metrics server: the way from an extension server's numbers to pods."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import (
    API_SERVICE,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HORIZONTAL_POD_AUTOSCALER,
    POD,
    SERVICE,
)
from edgek.kinds.api_service import available_condition
from tests.support.api import ADMIN
from tests.support.https_peer import https_peer, own_address, service_of, slice_of
from tests.support.loops import ReadyPods
from tests.support.tls_server import tls_server

pytestmark = pytest.mark.timeout(120)
ROOT = "/apis/metrics.k8s.io/v1beta1"


@dataclass
class MetricsServer:
    """Says that every pod uses as much memory."""

    client: Client
    megabytes: int = 90

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == ROOT:
            resource = {"name": "pods", "kind": "PodMetrics", "namespaced": True, "verbs": ["list"]}
            listed = {"kind": "APIResourceList", "groupVersion": "metrics.k8s.io/v1beta1"}
            return web.json_response({**listed, "resources": [resource]})
        if request.path != f"{ROOT}/namespaces/default/pods":
            return web.Response(status=404, text="404 page not found")
        wanted = request.query["labelSelector"]
        pods = await self.client.list(POD, namespace="default", label_selector=wanted)
        return web.json_response({"kind": "PodMetricsList", "items": [*map(self._of, pods.items)]})

    def _of(self, pod: Obj) -> Obj:
        usage = {"cpu": "1m", "memory": f"{self.megabytes}Mi"}
        return {
            "metadata": {"name": pod["metadata"]["name"], "namespace": "default"},
            "timestamp": format_time(SystemClock().now()),
            "window": "15.5s",
            "containers": [{"name": "main", "usage": usage}],
        }


DEPLOYED = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "web",
                        "resources": {"requests": {"memory": "100Mi"}},
                    }
                ]
            },
        },
    },
}


def autoscaler(percent: int) -> Obj:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 9,
            "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": target}}],
        },
    }


def api_service(ca_bundle: str) -> Obj:
    return {
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": ca_bundle,
            "service": {"namespace": "kube-system", "name": "metrics"},
        },
    }


async def available(client: Client) -> bool:
    found = await client.get(API_SERVICE, Key("", "v1beta1.metrics.k8s.io"))
    return (available_condition(found) or {}).get("status") == "True"


async def all_ready(client: Client, count: int) -> bool:
    found = await client.get(DEPLOYMENT, Key("default", "web"))
    return bool((found.get("status") or {}).get("readyReplicas") == count)


async def is_active(client: Client) -> bool:
    found = await client.get(HORIZONTAL_POD_AUTOSCALER, Key("default", "web"))
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(c["reason"] == "ValidMetricFound" for c in conditions)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    while not await check():  # noqa: ASYNC110 - the server is asked, it tells nobody
        await asyncio.sleep(0.02)


async def test_the_load_that_a_metrics_server_tells_of_is_followed(tmp_path: Path) -> None:
    clock = SystemClock()
    async with tls_server(tmp_path) as server, Tasks("agent") as tasks, asyncio.timeout(60):
        client = server.running.api.client(ADMIN)
        context = Context(
            client=client, informers=Informers(client, tasks), clock=clock,
            events=EventRecorder(client, clock),
        )  # fmt: skip
        tasks.spawn(run_controllers(context, [ReadyPods]), name="kubelet")
        metrics = MetricsServer(client)
        front_proxies = server.identity.request_header_ca.certificate
        async with https_peer(metrics.handle, client_ca=front_proxies) as peer:
            await client.create(API_SERVICE, api_service(peer.ca_bundle))
            await client.create(SERVICE, service_of("metrics", "kube-system"))
            slice_ = slice_of("metrics", "kube-system", peer.port, address=own_address())
            await client.create(ENDPOINT_SLICE, slice_)
            await client.create(DEPLOYMENT, DEPLOYED)
            await until(lambda: available(client))
            await until(lambda: all_ready(client, 2))
            await client.create(HORIZONTAL_POD_AUTOSCALER, autoscaler(60))
            await until(lambda: all_ready(client, 3))
            await until(lambda: is_active(client))
            found = await client.get(HORIZONTAL_POD_AUTOSCALER, Key("default", "web"))
            current = {"averageUtilization": 90, "averageValue": "94371840"}
            [told] = found["status"]["currentMetrics"]
            assert told == {"type": "Resource", "resource": {"name": "memory", "current": current}}
