"""nodes, pods and services through /proxy: a real web server behind a real tunnel."""

import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
import yarl
from aiohttp import web

from agent.api.dial import dial_handler
from agent.api.http import Ask, Reply, http_handler
from edgek.api.meta import Obj
from edgek.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from tests.support.tunnelled import Tunnelled, tunnelled

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
PAGE = (
    '<a href="/next?a=1">n</a><img alt=x src=\'/i.png\' longdesc="/l"><a href="rel">'
    '<a href="https://elsewhere/x"><script>"/untouched"</script>'
)


async def show(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    said = {name.lower(): value for name, value in request.headers.items()}
    told = {"method": request.method, "target": request.raw_path, "headers": said}
    return web.json_response({**told, "body": body.decode()}, status=201)


async def page(request: web.Request) -> web.StreamResponse:
    if "gzip" in request.query:
        packed = gzip.compress(PAGE.encode())
        return web.Response(
            body=packed, headers={"Content-Type": "text/html", "Content-Encoding": "gzip"}
        )
    response = web.Response(text=PAGE, content_type="text/html")
    response.set_cookie("a", "1,2")
    response.set_cookie("b", "2")
    return response


async def moved(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/there/"})


async def slowly(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for n in range(3):
        await response.write(b"part %d\n" % n)
    return response


async def socket(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse(protocols=("chat",))
    await ws.prepare(request)
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            await ws.send_str(f"heard {message.data}")
        else:
            await ws.send_bytes(message.data)
    return ws


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application()
    app.add_routes(
        [
            web.get("/page", page),
            web.get("/moved", moved),
            web.get("/slowly", slowly),
            web.get("/socket", socket),
            web.route("*", "/{any:.*}", show),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def kubelet(ask: Ask) -> Reply:
    return Reply(body=f"{ask.method} {ask.rest} {dict(ask.query)}".encode())


def pod(name: str, port: int, uid: str) -> Obj:
    ports = [{"name": "web", "containerPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "nodeName": "node1",
            "containers": [{"name": "c", "image": "i", "ports": ports}],
        },
    }


@pytest.fixture
async def cluster(port: int) -> AsyncIterator[Tunnelled]:
    addresses: dict[str, str] = {}
    handlers = {
        "dial": dial_handler(
            lambda uid: {} if uid in addresses else None, lambda uid: addresses[uid]
        ),
        "http": http_handler((("/metrics/", kubelet),)),
    }
    async with tunnelled(handlers) as up:
        made = await up.client.create(POD, pod("web", port, "uid-1"))
        addresses[made["metadata"]["uid"]] = "127.0.0.1"
        status = {"podIP": "192.0.2.7", "podIPs": [{"ip": "192.0.2.7"}], "phase": "Running"}
        await up.client.update_status(POD, made | {"status": status})
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}
        await up.client.create(NODE, node)
        ports = [{"name": "http", "port": 8080, "targetPort": "web"}]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": ports},
        }
        await up.client.create(SERVICE, service)
        ref = {"kind": "Pod", "name": "web", "uid": made["metadata"]["uid"]}
        slice_ = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port}],
            "endpoints": [{"addresses": ["192.0.2.7"], "targetRef": ref}],
        }
        await up.client.create(ENDPOINT_SLICE, slice_)
        yield up


@pytest.fixture
async def http(cluster: Tunnelled) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(cluster.url, timeout=timeout) as session:
        yield session


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_reaches_the_pod_as_it_was(
    http: aiohttp.ClientSession, port: int, method: str
) -> None:
    headers = {"Authorization": "Bearer secret", "X-Mine": "1", "X-Forwarded-For": "192.0.2.9"}
    path = f"{PODS}/web:{port}/proxy/a%20b/?q=1&q=%26"
    async with http.request(method, path, headers=headers, data="in") as answer:
        assert answer.status == 201
        said = await answer.json()
    assert said["method"] == method
    assert said["target"] == "/a%20b/?q=1&q=%26"
    assert said["body"] == "in"
    seen = said["headers"]
    assert "authorization" not in seen
    assert seen["host"] == f"192.0.2.7:{port}"
    assert seen["x-mine"] == "1"
    assert seen["x-forwarded-for"] == "192.0.2.9, 127.0.0.1"
    assert seen["x-forwarded-uri"] == f"{PODS}/web:{port}/proxy/a%20b/"


@pytest.mark.parametrize("name", ["web", "web:web", "http:web:web"])
async def test_a_pods_port_may_be_left_out_or_named(http: aiohttp.ClientSession, name: str) -> None:
    async with http.get(f"{PODS}/{name}/proxy/x") as answer:
        assert (await answer.json())["target"] == "/x"


@pytest.mark.parametrize("name", ["web:http", "web:8080", "http:web:http"])
async def test_a_service_is_its_ready_pods(http: aiohttp.ClientSession, name: str) -> None:
    async with http.get(f"{SERVICES}/{name}/proxy/x") as answer:
        assert answer.status == 201
        assert (await answer.json())["target"] == "/x"


async def test_links_lead_through_the_proxy_again(http: aiohttp.ClientSession, port: int) -> None:
    way = f"{PODS}/web:{port}/proxy"
    async with http.get(f"{way}/page") as answer:
        text = await answer.text()
        assert answer.headers.getall("Set-Cookie") == ['a="1\\0542"; Path=/', "b=2; Path=/"]
    assert f'<a href="{way}/next?a=1">' in text
    assert f"<img alt=x src='{way}/i.png' longdesc=\"{way}/l\">" in text
    assert '<a href="rel"><a href="https://elsewhere/x"><script>"/untouched"</script>' in text
    async with http.get(f"{way}/page?gzip") as answer:
        assert f'<a href="{way}/next?a=1">' in await answer.text()
    async with http.get(f"{way}/moved", allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"{way}/there/"


async def test_without_a_path_the_client_is_sent_to_one(http: aiohttp.ClientSession) -> None:
    async with http.get(f"{PODS}/web/proxy?a=1", allow_redirects=False) as answer:
        assert answer.status == 301
        assert answer.headers["Location"] == f"{PODS}/web/proxy/?a=1"


async def test_a_body_of_unknown_length_streams(http: aiohttp.ClientSession) -> None:
    async with http.get(f"{PODS}/web/proxy/slowly") as answer:
        assert await answer.text() == "part 0\npart 1\npart 2\n"
    async with http.head(f"{PODS}/web/proxy/slowly") as answer:
        assert answer.status == 200


async def test_a_websocket_reaches_the_pod(http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(f"{SERVICES}/web:http/proxy/socket", protocols=("chat",)) as ws:
        assert ws.protocol == "chat"
        await ws.send_str("hello")
        assert await ws.receive_str() == "heard hello"
        large = b"x" * 300_000
        await ws.send_bytes(large)
        assert await ws.receive_bytes() == large


async def test_a_pod_that_refuses_an_upgrade_says_so_itself(http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(f"{PODS}/web/proxy/elsewhere")
    assert refused.value.status == 201


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (f"{PODS}/web:1/proxy/", 503, "error trying to reach service: dial tcp 127.0.0.1:1: "
         "connect: connection refused"),
        (f"{PODS}/ftp:web:80/proxy/", 400, 'invalid pod request "ftp:web:80"'),
        (f"{PODS}/gone/proxy/", 404, 'pods "gone" not found'),
        (f"{SERVICES}/web:81/proxy/", 503, 'no service port 81 found for service "web"'),
        (f"{SERVICES}/web:other/proxy/", 503,
         'no endpoints available for service "web:other"'),
        ("/api/v1/nodes/node1:22/proxy/", 400, "address not allowed"),
    ],
)  # fmt: skip
async def test_what_cannot_be_reached_is_a_status(
    http: aiohttp.ClientSession, path: str, code: int, message: str
) -> None:
    async with http.get(path) as answer:
        assert answer.status == code
        assert (await answer.json())["message"] == message


@pytest.mark.parametrize("name", ["node1", "node1:10250", "https:node1:10250"])
async def test_a_node_answers_what_a_kubelet_does(http: aiohttp.ClientSession, name: str) -> None:
    async with http.get(f"/api/v1/nodes/{name}/proxy/metrics/cadvisor?a=b") as answer:
        assert await answer.text() == "GET cadvisor {'a': 'b'}"
    async with http.get(f"/api/v1/nodes/{name}/proxy/nothing") as answer:
        assert answer.status == 404
    async with http.post(f"/api/v1/nodes/{name}/proxy/metrics/x") as answer:
        assert answer.status == 405


async def test_an_upgrade_by_a_strange_path_is_refused(http: aiohttp.ClientSession) -> None:
    way = SERVICES.replace("/api/", "/%61pi/")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(yarl.URL(f"{way}/web:http/proxy/socket", encoded=True))
    assert refused.value.status == 400


async def test_doubled_slashes_lead_to_the_same_pod(http: aiohttp.ClientSession) -> None:
    async with http.get(PODS.replace("/v1/", "//v1//") + "/web/proxy//x") as answer:
        assert (await answer.json())["target"] == "//x"
