"""CONNECT: what opens a stream to a pod, node or service is admitted too, as its options object.

As apiserver handlers/get.go ConnectResource: admission sees PodExecOptions and the like.
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from edgek.api.meta import Obj
from server.admission.chain import Attributes
from server.endpoints.env import Env
from server.endpoints.query import flag
from server.endpoints.route import Target
from server.request.model import Request

_FLAGS = ("stdin", "stdout", "stderr", "tty")


async def admit_connect(env: Env, request: Request, target: Target, options: Obj) -> None:
    """Raises what a plugin, policy or webhook refuses with."""
    attributes = Attributes(
        operation="CONNECT",
        kind=target.kind,
        namespace=target.key.namespace,
        name=target.key.name,
        subresource=target.subresource,
        user=request.user,
        obj=options,
        warnings=request.warnings,
    )
    await env.registry.chain.run(attributes)


def exec_options(request: Request) -> Obj:
    command = parse_qs(request.raw_query, keep_blank_values=True).get("command", [])
    options = _options("PodExecOptions", request.query)
    return options | ({"command": command} if command else {})


def attach_options(request: Request) -> Obj:
    return _options("PodAttachOptions", request.query)


def port_forward_options(request: Request) -> Obj:
    texts = parse_qs(request.raw_query).get("ports", [])
    ports = [int(t) for text in texts for t in text.split(",") if t.isascii() and t.isdigit()]
    options: Obj = {"kind": "PodPortForwardOptions", "apiVersion": "v1"}
    return options | ({"ports": ports} if ports else {})


def _options(kind: str, query: Mapping[str, str]) -> Obj:
    """Without what is not asked for: in Go's form false is left out."""
    options: Obj = {"kind": kind, "apiVersion": "v1"}
    options |= {name: True for name in _FLAGS if flag(query, name)}
    if container := query.get("container"):
        options["container"] = container
    return options
