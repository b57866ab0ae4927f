"""nodes/proxy, pods/proxy and services/proxy as verbs: authorized before, admitted here.

``[scheme:]name[:port]`` is the name that RBAC and admission see, as upstream. Without endpoint or
answer the client gets a Status; what the other side answers goes on as it is.
"""

from collections.abc import Mapping

from edgek.api.errors import BadRequest
from edgek.api.meta import Key, Obj, name
from edgek.kinds import ENDPOINT_SLICE, POD
from server.endpoints.env import Env
from server.endpoints.proxy.forward import forward, prefix_of, to_directory
from server.endpoints.proxy.images import IMAGES, image_work
from server.endpoints.proxy.kubelet import ask_kubelet
from server.endpoints.proxy.target import Place, pod_place, service_place, split_name
from server.endpoints.route import Target, Verb
from server.endpoints.subresources.backend import Backend
from server.endpoints.subresources.connect import admit_connect
from server.request.forwarding import query_of
from server.request.model import Request, Response
from server.request.reader import Reader

KUBELET_PORTS = ("", "10250")
_VERBS = ("get", "create", "update", "patch", "delete")
SERVICE_NAME = "kubernetes.io/service-name"


def pod_proxy(backend: Backend) -> Mapping[str, Verb]:
    async def handle(env: Env, request: Request, target: Target) -> Response:
        await _admit(env, request, target, "PodProxyOptions")
        named = split_name(target.key.name, "pod")
        pod = await _get(env, target, named.name)
        return await forward(request, _on_a_node(pod_place(named, pod)), backend)

    return dict.fromkeys(_VERBS, handle)


def service_proxy(backend: Backend, reader: Reader) -> Mapping[str, Verb]:
    async def handle(env: Env, request: Request, target: Target) -> Response:
        await _admit(env, request, target, "ServiceProxyOptions")
        named = split_name(target.key.name, "service")
        service = await _get(env, target, named.name)
        where = target.key.namespace
        slices = [
            slice_
            for slice_ in reader.list(ENDPOINT_SLICE, where)
            if (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME) == named.name
        ]
        place = service_place(named, service, slices, lambda n: reader.get(POD, Key(where, n)))
        return await forward(request, _on_a_node(place), backend)

    return dict.fromkeys(_VERBS, handle)


def node_proxy(backend: Backend) -> Mapping[str, Verb]:
    """What a kubelet has at its port. Other ports of a node are not reached: its agent connects to
    pods only."""

    async def handle(env: Env, request: Request, target: Target) -> Response:
        await _admit(env, request, target, "NodeProxyOptions")
        named = split_name(target.key.name, "node")
        await _get(env, target, named.name)
        if named.port not in KUBELET_PORTS:
            raise BadRequest("address not allowed")
        if request.path.removeprefix(prefix_of(request)) == IMAGES:
            return await image_work(env, request, named.name, backend)
        if (redirect := to_directory(request)) is not None:
            return redirect
        path, query = request.path.removeprefix(prefix_of(request)), query_of(request)
        answer = await ask_kubelet(backend, named.name, path, query=query, method=request.method)
        response = Response(status=answer.status, content_type=answer.content_type)
        if request.in_process:
            response.body = await answer.whole()
        else:
            response.stream = answer
        return response

    return dict.fromkeys(_VERBS, handle)


async def _admit(env: Env, request: Request, target: Target, kind: str) -> None:
    path = request.path.removeprefix(prefix_of(request))
    options: Obj = {"kind": kind, "apiVersion": "v1"} | ({"path": path} if path else {})
    await admit_connect(env, request, target, options)


async def _get(env: Env, target: Target, wanted: str) -> Obj:
    entry = await env.registry.get(target.kind, Key(target.key.namespace, wanted))
    obj: Obj = entry.shared()
    return obj


def _on_a_node(place: Place) -> Place:
    if not place.node:
        raise BadRequest(f"pod {name(place.pod)} does not have a host assigned")
    return place
