"""/scale: the number of replicas of any kind that says where it keeps it.

As apiserver registry/apps/deployment/storage ScaleREST.
"""

from typing import Any

from edgek.api import errors
from edgek.api.meta import Obj, get_path, with_path
from edgek.kinds.kind import Kind, ScalePaths
from server.endpoints.body import read_typed
from server.endpoints.env import Env
from server.endpoints.patch import patcher
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.write import copy_of
from server.request.model import Request, Response

SCALE_KIND = Kind(
    group="autoscaling", version="v1", kind="Scale", plural="scales",
    schema="io.k8s.api.autoscaling.v1.Scale",
)  # fmt: skip


def scale_of(obj: Obj, paths: ScalePaths) -> Obj:
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = get_path(obj, *paths.status_replicas.split("."), default=0)
    scale: Obj = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: meta[k] for k in kept if k in meta},
        "spec": {"replicas": get_path(obj, *paths.spec_replicas.split("."), default=0)},
        "status": {"replicas": replicas},
    }
    if selector := selector_text(get_path(obj, *paths.label_selector.split("."))):
        scale["status"]["selector"] = selector
    return scale


def selector_text(selector: Any) -> str:
    """A selector as metav1.FormatLabelSelector writes it; plain text (CRDs) is left alone."""
    if not isinstance(selector, dict):
        return selector or ""
    match = selector.get("matchLabels", selector if "matchExpressions" not in selector else {})
    parts = [f"{k}={v}" for k, v in sorted((match or {}).items())]
    for term in selector.get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        parts.append(
            {
                "In": f"{term['key']} in ({values})",
                "NotIn": f"{term['key']} notin ({values})",
                "Exists": term["key"],
                "DoesNotExist": f"!{term['key']}",
            }[term["operator"]]
        )
    return ",".join(parts)


async def get_scale(env: Env, request: Request, target: Target) -> Response:
    entry = await env.registry.get(target.kind, target.key)
    return Response(obj=scale_of(entry.decoded(), _paths(target)))


async def put_scale(env: Env, request: Request, target: Target) -> Response:
    scale = await read_typed(request, "autoscaling/v1", "Scale")
    return await _write(env, request, target, lambda _: scale)


async def patch_scale(env: Env, request: Request, target: Target) -> Response:
    apply = patcher(request, SCALE_KIND)
    return await _write(env, request, target, apply)


async def _write(env: Env, request: Request, target: Target, make: Any) -> Response:
    paths = _paths(target)

    def transform(stored: Obj) -> Obj:
        scale = make(scale_of(stored, paths))
        replicas = get_path(scale, "spec", "replicas", default=0)
        if not isinstance(replicas, int) or replicas < 0:
            raise errors.Invalid(
                f'Scale.autoscaling "{target.key.name}" is invalid: spec.replicas: Invalid value: '
                f"{replicas}: must be greater than or equal to 0"
            )
        new = with_path(copy_of(stored), tuple(paths.spec_replicas.split(".")), replicas)
        _take_version(new, scale)
        return new

    context = write_context(request)
    entry = await env.registry.update(target.kind, target.key, transform, context)
    return Response(obj=scale_of(entry.decoded(), paths))


def _take_version(new: Obj, scale: Obj) -> None:
    """The Scale's resourceVersion is the object's: it makes the write conditional."""
    if version := get_path(scale, "metadata", "resourceVersion"):
        new["metadata"] = {**new["metadata"], "resourceVersion": version}


def _paths(target: Target) -> ScalePaths:
    return target.kind.scale or ScalePaths()
