"""The Python clients people use work unmodified: official, its asyncio twin, kr8s, lightkube."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.tls_server import TlsServer, tls_server

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning"),
]
T = TypeVar("T")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path) as running:
        await running.kubectl("create", "namespace", "shop")
        yield running


async def in_thread(work: Callable[[], T]) -> T:
    async with asyncio.timeout(60):
        return await asyncio.to_thread(work)


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}


def deployment(name: str) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "busybox:1.36"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": spec,
    }


async def test_the_official_client(server: TlsServer) -> None:
    from kubernetes import client, config, dynamic, watch

    def work() -> None:
        api = config.new_client_from_config(str(server.config.write_kubeconfig))
        core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
        made = core.create_namespaced_config_map("shop", CONFIG)
        assert made.data == {"k": "v"}
        made.data = {"k": "w"}
        assert core.replace_namespaced_config_map("a", "shop", made).data == {"k": "w"}
        core.patch_namespaced_config_map("a", "shop", {"data": {"l": "m"}})
        assert core.read_namespaced_config_map("a", "shop").data == {"k": "w", "l": "m"}
        made.metadata.resource_version = "1"
        with pytest.raises(client.ApiException) as stale:
            core.replace_namespaced_config_map("a", "shop", made)
        assert stale.value.status == 409
        apps.create_namespaced_deployment("shop", deployment("web"))
        scaled = apps.patch_namespaced_deployment_scale("web", "shop", {"spec": {"replicas": 1}})
        assert scaled.spec.replicas == 1
        kinds = [
            event["object"].metadata.name
            for event in watch.Watch().stream(
                core.list_namespaced_config_map, "shop", timeout_seconds=1
            )
        ]
        assert "a" in kinds
        page = core.list_namespaced_config_map("shop", limit=1)
        assert len(page.items) == 1
        found = dynamic.DynamicClient(api).resources.get(api_version="apps/v1", kind="Deployment")
        assert found.get(name="web", namespace="shop").spec.replicas == 1
        core.delete_namespaced_config_map("a", "shop")
        with pytest.raises(client.ApiException) as gone:
            core.read_namespaced_config_map("a", "shop")
        assert gone.value.status == 404

    await in_thread(work)


async def test_the_asyncio_client(server: TlsServer) -> None:
    from kubernetes_asyncio import client, config, watch

    path = str(server.config.write_kubeconfig)
    async with await config.new_client_from_config(path) as api, asyncio.timeout(60):
        core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
        await core.create_namespaced_config_map("shop", CONFIG)
        await core.patch_namespaced_config_map("a", "shop", {"data": {"l": "m"}})
        found = await core.read_namespaced_config_map("a", "shop")
        assert found.data == {"k": "v", "l": "m"}
        await apps.create_namespaced_deployment("shop", deployment("web"))
        seen = []
        async with watch.Watch() as events:
            async for event in events.stream(apps.list_namespaced_deployment, "shop"):
                seen.append(event["object"].metadata.name)
                break
        assert seen == ["web"]
        await core.delete_namespaced_config_map("a", "shop")
        listed = await core.list_namespaced_config_map("shop", label_selector="!x")
        assert "a" not in [item.metadata.name for item in listed.items]


async def test_kr8s(server: TlsServer) -> None:
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap, Deployment

    async with asyncio.timeout(60):
        api = await kr8s.asyncio.api(kubeconfig=str(server.config.write_kubeconfig))
        made = await ConfigMap({**CONFIG, "metadata": {"name": "a", "namespace": "shop"}}, api=api)
        await made.create()
        assert await made.exists()
        await made.patch({"data": {"l": "m"}})
        assert made.raw["data"] == {"k": "v", "l": "m"}
        await made.label({"tier": "front"})
        names = [c.name async for c in api.get("configmaps", namespace="shop")]
        assert "a" in names
        web = deployment("web")
        web["metadata"]["namespace"] = "shop"
        deployed = await Deployment(web, api=api)
        await deployed.create()
        await deployed.scale(0)
        async for event, found in api.watch("deployments", namespace="shop"):
            assert (event, found.name) == ("ADDED", "web")
            break
        await made.delete()
        await made.wait("delete", timeout=20)
        assert not await made.exists()


async def test_lightkube(server: TlsServer) -> None:
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap
    from lightkube.types import PatchType

    def work() -> None:
        config = KubeConfig.from_file(str(server.config.write_kubeconfig))
        client = Client(config=config, namespace="shop", field_manager="tests")
        made = client.create(ConfigMap(metadata=ObjectMeta(name="a"), data={"k": "v"}))
        assert made.metadata is not None
        assert made.metadata.uid
        patched = client.patch(ConfigMap, "a", {"data": {"l": "m"}}, patch_type=PatchType.MERGE)
        assert patched.data == {"k": "v", "l": "m"}
        client.create(Deployment.from_dict(deployment("web")))
        assert [d.metadata.name for d in client.list(Deployment) if d.metadata] == ["web"]
        event, found = next(iter(client.watch(ConfigMap, fields={"metadata.name": "a"})))
        assert (event, found.data) == ("ADDED", {"k": "v", "l": "m"})
        applied = client.apply(
            ConfigMap(metadata=ObjectMeta(name="b"), data={"x": "y"}), field_manager="tests"
        )
        assert applied.data == {"x": "y"}
        client.delete(ConfigMap, "a")
        with pytest.raises(ApiError) as gone:
            client.get(ConfigMap, "a")
        assert gone.value.status.code == 404

    await in_thread(work)
