"""An extension API server behind ours: discovery, requests, watches and WebSockets pass through."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from edgek.api.errors import NotFound, ServiceUnavailable
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport, tls_context
from edgek.client.transport import Call
from edgek.kinds import API_SERVICE, CONFIG_MAP, ENDPOINT_SLICE, SERVICE
from edgek.kinds.api_service import available_condition
from server.aggregation.openapi import MergedOpenApi
from server.endpoints.openapi import OpenApi
from server.request.model import Request
from server.request.principals import AUTHENTICATED, MASTERS
from server.run import BOOTSTRAPPER
from tests.support.https_peer import Peer, https_peer, own_address, service_of, slice_of
from tests.support.objects import lamp_definition
from tests.support.tls_server import TlsServer, tls_server

GROUP = "metrics.example.com"
ROOT = f"/apis/{GROUP}/v1beta1"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/v1beta1",
    "resources": [
        {
            "name": "gauges", "singularName": "gauge", "namespaced": True, "kind": "Gauge",
            "verbs": ["get", "list", "watch"], "shortNames": ["gg"],
        },
        {"name": "gauges/history", "singularName": "", "namespaced": True, "kind": "Gauge",
         "verbs": ["get"]},
    ],
}  # fmt: skip


GAUGE = {
    "type": "object",
    "description": "How much there is of something.",
    "properties": {"value": {"type": "string", "description": "The amount."}},
    "x-kubernetes-group-version-kind": [{"group": GROUP, "version": "v1beta1", "kind": "Gauge"}],
}
PATHS = {
    f"{ROOT}/gauges": {
        "get": {
            "x-kubernetes-action": "list",
            "x-kubernetes-group-version-kind": {
                "group": GROUP, "version": "v1beta1", "kind": "Gauge"
            },
            "responses": {"200": {"description": "OK"}},
        }
    },
    "/apis/elsewhere/v1/x": {},
}  # fmt: skip
INFO = {"title": "metrics", "version": "v1"}
OPENAPI_V3 = {"openapi": "3.0.0", "info": INFO, "paths": PATHS,
              "components": {"schemas": {"com.example.Gauge": GAUGE}}}  # fmt: skip
OPENAPI_V2 = {"swagger": "2.0", "info": INFO, "paths": PATHS,
              "definitions": {"com.example.Gauge": GAUGE}}  # fmt: skip


ETAG = '"one"'
DOCUMENTS = {
    ROOT: RESOURCES,
    "/openapi/v3": {
        "paths": {ROOT.strip("/"): {"serverRelativeURL": f"/openapi/v3{ROOT}?hash=AB"}}
    },
    f"/openapi/v3{ROOT}": OPENAPI_V3,
    "/openapi/v2": OPENAPI_V2,
}


def gauge(name: str) -> Obj:
    return {
        "kind": "Gauge",
        "apiVersion": f"{GROUP}/v1beta1",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": None},
        "value": "42",
    }


@dataclass
class Extension:
    """What it is asked, and whether it is well."""

    asked: list[web.BaseRequest] = field(default_factory=list)
    well: bool = True
    send: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if not self.well:
            return web.Response(status=500, text="out of order")
        if request.path in DOCUMENTS:
            if request.headers.get("If-None-Match") == ETAG:
                return web.Response(status=304)
            return web.json_response(DOCUMENTS[request.path], headers={"ETag": ETAG})
        if request.path == f"{ROOT}/ws":
            return await self._echo(request)
        if request.method == "POST":
            return web.json_response({"got": await request.json()}, status=201)
        if request.query.get("watch"):
            return await self._watch(request)
        return self._read(request)

    def _read(self, request: web.Request) -> web.StreamResponse:
        if request.path == f"{ROOT}/large":
            large = web.json_response({"padding": "x" * 3_000_000})
            large.enable_compression()
            return large
        if request.path == f"{ROOT}/elsewhere":
            return web.Response(status=302, headers={"Location": "https://example.com/"})
        if request.path.endswith("/gauges"):
            listed = {"kind": "GaugeList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}}
            return web.json_response(listed | {"items": [gauge("a"), gauge("b")]})
        if request.path.endswith("/gauges/a"):
            return web.json_response(gauge("a"))
        status = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404,
                  "message": "no such gauge", "status": "Failure"}  # fmt: skip
        return web.json_response(status, status=404)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(json.dumps({"type": "ADDED", "object": gauge("a")}).encode() + b"\n")
        try:
            await self.send.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        await answer.write(json.dumps({"type": "ADDED", "object": gauge("b")}).encode() + b"\n")
        return answer

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v9.example.com",))
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"you said {message.data}")
            if message.data == "bye":
                break
        await socket.close()
        return socket


@dataclass(frozen=True, kw_only=True)
class World:
    server: TlsServer
    peer: Peer
    extension: Extension

    @property
    def client(self) -> Client:
        return self.server.running.api.client(BOOTSTRAPPER)

    async def condition(self, status: str, reason: str) -> Obj:
        """Waits for the APIService to say so."""
        key = Key("", f"v1beta1.{GROUP}")
        async with asyncio.timeout(20):
            while True:
                found = available_condition(await self.client.get(API_SERVICE, key)) or {}
                if (found.get("status"), found.get("reason")) == (status, reason):
                    return found
                await asyncio.sleep(0.02)


def api_service(peer: Peer) -> Obj:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1beta1",
            "groupPriorityMinimum": 2000,
            "versionPriority": 50,
            "caBundle": peer.ca_bundle,
            "service": {"namespace": "kube-system", "name": "metrics"},
        },
    }


@asynccontextmanager
async def opened(folder: Path, *, available: bool = True) -> AsyncIterator[World]:
    async with tls_server(folder) as server:
        extension = Extension()
        front_proxies = server.identity.request_header_ca.certificate
        async with https_peer(extension.handle, client_ca=front_proxies) as peer:
            world = World(server=server, peer=peer, extension=extension)
            client = world.client
            await client.create(API_SERVICE, api_service(peer))
            if available:
                await client.create(SERVICE, service_of("metrics", "kube-system"))
                slice_ = slice_of("metrics", "kube-system", peer.port, address=own_address())
                await client.create(ENDPOINT_SLICE, slice_)
                await world.condition("True", "Passed")
            yield world


async def test_kubectl_uses_an_extension_server_like_our_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        kubectl = world.server.kubectl
        listed = await kubectl("get", "apiservices", f"v1beta1.{GROUP}")
        assert "kube-system/metrics" in listed
        assert "True" in listed
        assert "gauges" in await kubectl("api-resources", "--api-group", GROUP)
        assert GROUP in await kubectl("api-versions")
        assert (await kubectl("get", "gg", "-o", "name")).split() == [
            f"gauge.{GROUP}/a", f"gauge.{GROUP}/b"
        ]  # fmt: skip
        assert '"42"' in await kubectl("get", "gauge", "a", "-o", "yaml")
        assert "no such gauge" in await kubectl("get", "gauge", "x", ok=False)


async def test_the_extension_server_learns_who_asks_and_nothing_else_of_them(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as world:
        await world.server.kubectl("get", "--raw", f"{ROOT}/namespaces/default/gauges?limit=3")
        request = world.extension.asked[-1]
        assert request.path_qs == f"{ROOT}/namespaces/default/gauges?limit=3"
        assert request.headers.getall("X-Remote-User") == ["system:admin"]
        assert set(request.headers.getall("X-Remote-Group")) == {MASTERS, AUTHENTICATED}
        assert request.headers.getall("X-Forwarded-For") == ["127.0.0.1"]
        assert request.host == "metrics.kube-system.svc"
        assert "Authorization" not in request.headers


async def test_kubectl_explains_what_the_extension_server_documents(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        kubectl = world.server.kubectl
        assert "The amount." in await kubectl("explain", "gauges.value")
        index = json.loads(await kubectl("get", "--raw", "/openapi/v3"))["paths"]
        assert index[ROOT.strip("/")] == {"serverRelativeURL": f"/openapi/v3{ROOT}?hash=AB"}
        assert "apis/apps/v1" in index
        whole = json.loads(await kubectl("get", "--raw", "/openapi/v2"))
        assert whole["paths"][f"{ROOT}/gauges"]
        assert "/apis/elsewhere/v1/x" not in whole["paths"]
        assert whole["definitions"]["com.example.Gauge"] == GAUGE
        assert "io.k8s.api.core.v1.Pod" in whole["definitions"]


async def test_a_document_that_is_known_is_not_fetched_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        kinds = world.server.running.api.env.kinds.all
        merged = MergedOpenApi(world.server.running.api.aggregator, OpenApi(kinds).handle, keep=0)
        for asks in ([], [ETAG], [ETAG]):
            answer = await merged.handle(Request(method="GET", path="/openapi/v3"))
            assert answer.obj is not None
            assert ROOT.strip("/") in answer.obj["paths"]
            assert world.extension.asked[-1].headers.getall("If-None-Match", []) == asks


async def test_nobody_can_claim_to_be_somebody_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        access = Access(
            server=f"https://127.0.0.1:{world.server.config.port}",
            ca=world.server.identity.ca_pem,
            client_cert=(world.server.identity.tls_dir / "admin.crt").read_bytes(),
            client_key=(world.server.identity.tls_dir / "admin.key").read_bytes(),
        )
        forged = {"X-Remote-User": "root", "X-Remote-Extra-Scopes": "all", "X-Remote-Group": "x"}
        async with (
            aiohttp.ClientSession() as http,
            http.get(
                f"{access.server}{ROOT}/gauges", headers=forged, ssl=tls_context(access)
            ) as answer,
        ):
            assert answer.status == 200
        request = world.extension.asked[-1]
        assert request.headers.getall("X-Remote-User") == ["system:admin"]
        assert "x" not in request.headers.getall("X-Remote-Group")
        assert "X-Remote-Extra-Scopes" not in request.headers


async def test_a_redirect_is_not_passed_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        said = await world.server.kubectl("get", "--raw", f"{ROOT}/elsewhere", ok=False)
        assert "the backend attempted to redirect this request, which is not permitted" in said


def outside(world: World) -> HttpTransport:
    identity = world.server.identity
    return HttpTransport(
        Access(
            server=f"https://127.0.0.1:{world.server.config.port}",
            ca=identity.ca_pem,
            client_cert=(identity.tls_dir / "admin.crt").read_bytes(),
            client_key=(identity.tls_dir / "admin.key").read_bytes(),
        )
    )


async def test_a_watch_streams_through(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        transport = outside(world)
        call = Call(method="GET", path=f"{ROOT}/gauges", query={"watch": "true"})
        async with transport.watch(call) as events:
            first = await anext(events)
            assert first.obj["metadata"]["name"] == "a"
            world.extension.send.set()
            second = await anext(events)
            assert second.obj["metadata"]["name"] == "b"
            assert [e async for e in events] == []
        await transport.close()


async def test_a_websocket_passes_through(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        transport = outside(world)
        async with transport.websocket(f"{ROOT}/ws", protocols=("v9.example.com",)) as socket:
            assert socket.protocol == "v9.example.com"
            await socket.send("hello")
            assert await socket.receive() == "you said hello"
            await socket.send("bye")
            assert await socket.receive() == "you said bye"
            assert await socket.receive() is None
        with pytest.raises(NotFound):
            async with transport.websocket(f"{ROOT}/nowhere"):
                pass
        await transport.close()


async def test_what_is_missing_is_told_and_its_coming_is_seen(tmp_path: Path) -> None:
    async with opened(tmp_path, available=False) as world:
        said = await world.condition("False", "ServiceNotFound")
        assert said["message"] == 'service/metrics in "kube-system" is not present'
        with pytest.raises(ServiceUnavailable, match="currently unable to handle the request"):
            await world.client.transport.call(Call(method="GET", path=f"{ROOT}/gauges"))
        assert "ServiceNotFound" in await world.server.kubectl("get", "apiservices")

        await world.client.create(SERVICE, service_of("metrics", "kube-system", port=8443))
        await world.condition("False", "ServicePortError")
        await world.client.delete(SERVICE, Key("kube-system", "metrics"))
        await world.client.create(SERVICE, service_of("metrics", "kube-system"))
        await world.condition("False", "EndpointsNotFound")
        slice_ = slice_of(
            "metrics", "kube-system", world.peer.port, ready=False, address=own_address()
        )
        await world.client.create(ENDPOINT_SLICE, slice_)
        said = await world.condition("False", "MissingEndpoints")
        assert 'have no addresses with port name ""' in said["message"]
        await world.client.patch(
            ENDPOINT_SLICE, Key("kube-system", "metrics-1"),
            {"endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}}]},
        )  # fmt: skip
        assert (await world.condition("True", "Passed"))["message"] == "all checks passed"


async def test_a_server_that_is_ill_is_looked_at_again(tmp_path: Path) -> None:
    async with opened(tmp_path, available=False) as world:
        world.extension.well = False
        await world.client.create(SERVICE, service_of("metrics", "kube-system"))
        slice_ = slice_of("metrics", "kube-system", world.peer.port, address=own_address())
        await world.client.create(ENDPOINT_SLICE, slice_)
        said = await world.condition("False", "FailedDiscoveryCheck")
        url = f"https://metrics.kube-system.svc:443{ROOT}"
        assert said["message"] == (
            f"failing or missing response from {url}: bad status from {url}: 500"
        )
        world.extension.well = True
        await world.condition("True", "Passed")


async def test_our_own_groups_are_local_api_services_and_always_available(
    tmp_path: Path,
) -> None:
    async with tls_server(tmp_path) as server:
        table = await server.kubectl("get", "apiservices")
        rows = {line.split()[0]: line.split()[1:3] for line in table.splitlines()[1:]}
        assert rows["v1."] == rows["v1.apps"] == rows["v2.autoscaling"] == ["Local", "True"]
        assert "v1.apiregistration.k8s.io" not in rows
        found = json.loads(await server.kubectl("get", "apiservice", "v1.apps", "-o", "json"))
        assert found["metadata"]["labels"] == {
            "kube-aggregator.kubernetes.io/automanaged": "onstart"
        }
        assert found["status"]["conditions"][0]["message"] == (
            "Local APIServices are always available"
        )


async def test_a_custom_kind_has_a_local_api_service_as_long_as_it_is_there(
    tmp_path: Path,
) -> None:
    crd = lamp_definition()
    async with tls_server(tmp_path) as server:
        await server.kubectl("create", "-f", "-", stdin=json.dumps(crd))
        wait = ("wait", "apiservice/v1.example.com", "--timeout=10s")
        await server.kubectl(*wait, "--for=create")
        await server.kubectl(*wait, "--for=condition=Available")
        await server.kubectl("delete", "crd", "lamps.example.com")
        await server.kubectl(*wait, "--for=delete")


async def test_extension_servers_find_whom_to_believe(tmp_path: Path) -> None:
    async with tls_server(tmp_path, loops=False) as server:
        client = server.running.api.client(BOOTSTRAPPER)
        found = await client.get(
            CONFIG_MAP, Key("kube-system", "extension-apiserver-authentication")
        )
        data = found["data"]
        assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
        assert data["requestheader-client-ca-file"] == (
            server.identity.request_header_ca.certificate.decode()
        )
        assert data["client-ca-file"] == server.identity.client_ca.certificate.decode()


async def test_bodies_and_compressed_answers_pass_as_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        transport = outside(world)
        sent = {"kind": "Gauge", "apiVersion": f"{GROUP}/v1beta1", "metadata": {"name": "new"}}
        path = f"{ROOT}/namespaces/default/gauges"
        answer = await transport.call(Call(method="POST", path=path, body=sent))
        assert answer["got"] == sent
        url = f"https://127.0.0.1:{world.server.config.port}{ROOT}/large"
        async with (
            aiohttp.ClientSession() as http,
            http.get(
                url, headers={"Accept-Encoding": "gzip"}, ssl=tls_context(transport.access)
            ) as large,
        ):
            assert (await large.json())["padding"] == "x" * 3_000_000
        await transport.close()


async def test_a_client_that_leaves_a_watch_leaves_it_behind_us_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        transport = outside(world)
        call = Call(method="GET", path=f"{ROOT}/gauges", query={"watch": "true"})
        async with transport.watch(call) as events:
            await anext(events)
        async with asyncio.timeout(5):
            await world.extension.left.wait()
        await transport.close()
