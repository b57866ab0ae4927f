"""log, exec, attach and portforward as verbs: find the pod, then hand over to the file of each."""

from collections.abc import Awaitable, Callable

from edgek.api.meta import Obj
from server.endpoints.env import Env
from server.endpoints.route import Target, Verb
from server.endpoints.subresources import exec as exec_
from server.endpoints.subresources import log, port_forward
from server.endpoints.subresources.backend import Backend
from server.endpoints.subresources.connect import (
    admit_connect,
    attach_options,
    exec_options,
    port_forward_options,
)
from server.request.model import Request, Response

PodStream = Callable[[Request, Obj, Backend], Awaitable[Response]]
Options = Callable[[Request], Obj]


def _verb(stream: PodStream, backend: Backend, *, connect: Options | None = None) -> Verb:
    """``connect`` gives the options object that admission is shown."""

    async def handle(env: Env, request: Request, target: Target) -> Response:
        if connect is not None:
            await admit_connect(env, request, target, connect(request))
        pod = (await env.registry.get(target.kind, target.key)).shared()
        return await stream(request, pod, backend)

    return handle


def pod_log(backend: Backend) -> Verb:
    return _verb(log.handle, backend)


def pod_exec(backend: Backend) -> Verb:
    return _verb(exec_.handle, backend, connect=exec_options)


def pod_attach(backend: Backend) -> Verb:
    return _verb(exec_.handle_attach, backend, connect=attach_options)


def pod_port_forward(backend: Backend) -> Verb:
    return _verb(port_forward.handle, backend, connect=port_forward_options)
