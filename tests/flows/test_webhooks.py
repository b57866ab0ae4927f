"""Admission webhooks with the whole server over TLS: what kubectl says of their answers."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj
from edgek.kinds import CONFIG_MAP
from server.run import BOOTSTRAPPER, prepare_cluster
from tests.support.https_peer import Peer, https_peer
from tests.support.objects import lamp_definition
from tests.support.tls_server import Kubectl, TlsServer, tls_server

Respond = Callable[[Obj], Awaitable[Obj]]


@dataclass(kw_only=True)
class World:
    server: TlsServer
    kubectl: Kubectl
    peer: Peer
    respond: Respond
    asked: list[Obj] = field(default_factory=list)

    async def configure(self, kind: str, resources: list[str], **more: Any) -> None:
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"]}
        hook = {
            "name": "hook.example.com",
            "clientConfig": self.peer.config("/hook"),
            "rules": [{**rule, "resources": resources}],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
            **more,
        }
        obj = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": "hook"},
            "webhooks": [hook],
        }
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(obj))


async def allow(request: Obj) -> Obj:
    return {"allowed": True}


@asynccontextmanager
async def opened(folder: Path, respond: Respond = allow) -> AsyncIterator[World]:
    async def handle(request: web.Request) -> web.StreamResponse:
        asked = (await request.json())["request"]
        world.asked.append(asked)
        response = {"uid": asked["uid"], **await world.respond(asked)}
        version = "admission.k8s.io/v1"
        return web.json_response(
            {"apiVersion": version, "kind": "AdmissionReview", "response": response}
        )

    async with tls_server(folder, loops=False) as server, https_peer(handle) as peer:
        world = World(server=server, kubectl=server.kubectl, peer=peer, respond=respond)
        yield world


async def test_a_denial_and_a_warning_are_shown_as_the_webhook_words_them(tmp_path: Path) -> None:
    async def respond(request: Obj) -> Obj:
        if request["name"] == "bad":
            return {"allowed": False, "status": {"message": "no bad names", "code": 403}}
        return {"allowed": True, "warnings": ["this kind of map is going away"]}

    async with opened(tmp_path, respond) as world:
        await world.configure("Validating", ["configmaps"])
        said = await world.kubectl("create", "configmap", "bad", ok=False)
        assert 'admission webhook "hook.example.com" denied the request: no bad names' in said
        said = await world.kubectl("create", "configmap", "good")
        assert "Warning: this kind of map is going away" in said
        assert "configmap/good created" in said
        await world.kubectl("create", "configmap", "other", "-n", "kube-system")
        assert [r["name"] for r in world.asked] == ["bad", "good"]


async def test_a_server_side_dry_run_and_an_apply_are_asked_about_too(tmp_path: Path) -> None:
    async def respond(request: Obj) -> Obj:
        patch = [{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}]
        encoded = base64.b64encode(json.dumps(patch).encode()).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}

    async with opened(tmp_path, respond) as world:
        await world.configure("Mutating", ["configmaps"])
        dry = ("create", "configmap", "a", "--dry-run=server", "-o", "jsonpath={.metadata.labels}")
        assert await world.kubectl(*dry) == '{"seen":"yes"}'
        assert world.asked[-1]["dryRun"] is True
        assert world.asked[-1]["options"]["dryRun"] == ["All"]
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}
        await world.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(obj))
        assert (world.asked[-1]["operation"], world.asked[-1]["options"]["kind"]) == (
            "CREATE", "CreateOptions"
        )  # fmt: skip
        found = json.loads(await world.kubectl("get", "configmap", "b", "-o", "json"))
        assert found["metadata"]["labels"] == {"seen": "yes"}


async def test_every_object_of_a_collection_that_is_deleted_is_asked_about(tmp_path: Path) -> None:
    async def respond(request: Obj) -> Obj:
        return {"allowed": request["operation"] != "DELETE" or "keep" not in request["name"]}

    async with opened(tmp_path, respond) as world:
        await world.configure("Validating", ["configmaps"])
        for name in ("a", "b-keep"):
            await world.kubectl("create", "configmap", name)
        said = await world.kubectl("delete", "configmap", "--all", ok=False)
        assert "denied the request without explanation" in said
        left = await world.kubectl("get", "configmap", "-o", "name")
        assert "b-keep" in left
        assert "configmap/a" not in left
        deletions = [r for r in world.asked if r["operation"] == "DELETE"]
        assert {r["oldObject"]["metadata"]["name"] for r in deletions} == {"a", "b-keep"}


async def test_who_answers_too_late_is_told_with_the_time_it_had(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def respond(request: Obj) -> Obj:
        await never.wait()
        return {"allowed": True}

    async with opened(tmp_path, respond) as world:
        await world.configure("Validating", ["configmaps"], timeoutSeconds=1)
        said = await world.kubectl("create", "configmap", "a", ok=False)
        never.set()
        url = f"https://127.0.0.1:{world.peer.port}/hook?timeout=1s"
        assert (
            "Internal error occurred: failed calling webhook "
            f'"hook.example.com": failed to call webhook: Post "{url}": context deadline exceeded'
        ) in said


async def test_a_custom_resource_that_a_webhook_patched_is_pruned(tmp_path: Path) -> None:
    async def respond(request: Obj) -> Obj:
        patch = [
            {"op": "add", "path": "/spec/color", "value": "blue"},
            {"op": "add", "path": "/spec/unknown", "value": 1},
        ]
        encoded = base64.b64encode(json.dumps(patch).encode()).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}

    crd = lamp_definition(color={"type": "string"})
    lamp = {"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "hall"},
            "spec": {}}  # fmt: skip
    async with opened(tmp_path, respond) as world:
        await world.kubectl("create", "-f", "-", stdin=json.dumps(crd))
        await world.kubectl("wait", "--for=condition=Established", "crd/lamps.example.com")
        await world.configure("Mutating", ["lamps"])
        await world.kubectl("create", "-f", "-", stdin=json.dumps(lamp))
        found = json.loads(await world.kubectl("get", "lamp", "hall", "-o", "json"))
        assert found["spec"] == {"color": "blue"}


async def test_running_a_command_in_a_pod_can_be_forbidden(tmp_path: Path) -> None:
    async def respond(request: Obj) -> Obj:
        return {"allowed": False, "status": {"message": "nobody comes in here"}}

    async with opened(tmp_path, respond) as world:
        await world.kubectl("create", "serviceaccount", "default")
        await world.kubectl("run", "web", "--image=web:1")
        await world.configure("Validating", ["pods/attach", "pods/exec"])
        said = await world.kubectl("exec", "web", "--", "sh", ok=False)
        assert "nobody comes in here" in said
        assert world.asked[-1]["operation"] == "CONNECT"


async def test_a_webhook_that_refuses_everything_does_not_keep_the_server_from_starting(
    tmp_path: Path,
) -> None:
    async def respond(request: Obj) -> Obj:
        return {"allowed": False}

    async with opened(tmp_path, respond) as world:
        await world.configure("Validating", ["*"], namespaceSelector={})
        client = world.server.running.api.client(BOOTSTRAPPER)
        refused = len(world.asked)
        facts = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
        await prepare_cluster(world.server.running, world.server.config)
        assert len(world.asked) == refused  # nothing is missing, so nothing is written
        await world.kubectl("delete", "validatingwebhookconfiguration", "hook")
        await world.kubectl("delete", "configmap", facts["name"], "-n", facts["namespace"])
        await world.configure("Validating", ["*"], namespaceSelector={})
        await prepare_cluster(world.server.running, world.server.config)
        assert world.asked[-1]["name"] == facts["name"]
        with pytest.raises(NotFound):
            await client.get(CONFIG_MAP, Key(facts["namespace"], facts["name"]))
