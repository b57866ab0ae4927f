"""/scale: the number of replicas of any kind that says where it keeps it.

As apiserver registry/apps/deployment/storage ScaleREST.
"""

from typing import Any

from edgek.api import errors
from edgek.api.meta import Obj, get_path, with_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.columns import format_requirement
from edgek.kinds.kind import Kind, ScalePaths
from server.endpoints.apply import APPLY, application_of, read_config
from server.endpoints.body import media_type, read_typed, schema_for
from server.endpoints.env import Env
from server.endpoints.patch import patcher
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.fieldmanager.applied import check_applied
from server.registry.write import How, View, copy_of
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
    parts += [format_requirement(term) for term in selector.get("matchExpressions") or ()]
    return ",".join(parts)


async def get_scale(env: Env, request: Request, target: Target) -> Response:
    obj, paths = (await env.registry.get(target.kind, target.key)).decoded(), _paths(target)
    if target.kind.custom and get_path(obj, *paths.spec_replicas.split(".")) is None:
        raise errors.InternalError(
            f'the spec replicas field ".{paths.spec_replicas}" does not exist'
        )
    return Response(obj=scale_of(obj, paths))


async def put_scale(env: Env, request: Request, target: Target) -> Response:
    scale = await read_typed(request, "autoscaling/v1", "Scale")
    return await _write(env, request, target, lambda _: scale)


async def patch_scale(env: Env, request: Request, target: Target) -> Response:
    if media_type(request) == APPLY:
        return await _apply(env, request, target)
    change = patcher(request, SCALE_KIND)
    return await _write(env, request, target, change)


async def _write(env: Env, request: Request, target: Target, make: Any) -> Response:
    paths = _paths(target)

    def transform(stored: Obj) -> Obj:
        scale = make(scale_of(stored, paths))
        replicas = get_path(scale, "spec", "replicas", default=0)
        _check(target, scale, replicas)
        new = with_path(copy_of(stored), tuple(paths.spec_replicas.split(".")), replicas)
        _take_identity(new, scale)
        return new

    context = write_context(request)
    entry = await env.registry.update(
        target.kind, target.key, transform, context, how=scaling(paths)
    )
    return Response(obj=scale_of(entry.decoded(), paths))


async def _apply(env: Env, request: Request, target: Target) -> Response:
    """A Scale that is applied is the object's number of replicas, and nothing else of it."""
    kind, paths = target.kind, _paths(target)
    context = write_context(request, apply=True)
    scale = read_config(request)
    check_applied(SCALE_KIND, scale, schema_for(SCALE_KIND))
    replicas = get_path(scale, "spec", "replicas")
    _check(target, scale, replicas or 0)

    def config_for(stored: Obj | None) -> Obj:
        config: Obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}}
        _take_identity(config, scale)
        if replicas is not None:
            config = with_path(config, tuple(paths.spec_replicas.split(".")), replicas)
        return config

    application = application_of(env, request, kind, config_for)
    entry, _ = await env.registry.apply(kind, target.key, application, context, how=scaling(paths))
    return Response(obj=scale_of(entry.decoded(), paths))


def scaling(paths: ScalePaths) -> How:
    """An update through /scale: admission sees the Scale, the fields are the object's."""

    def put(obj: Obj, seen: Obj) -> None:
        replicas = get_path(seen, "spec", "replicas", default=0)
        if replicas != scale_of(obj, paths)["spec"]["replicas"]:
            obj.update(with_path(obj, tuple(paths.spec_replicas.split(".")), replicas))

    return How(subresource="scale", view=View(of=lambda obj: scale_of(obj, paths), put=put))


def _check(target: Target, scale: Obj, replicas: Any) -> None:
    name = get_path(scale, "metadata", "name")
    if name and name != target.key.name:
        raise errors.BadRequest(
            f"the name of the object ({name}) does not match the name on the URL "
            f"({target.key.name})"
        )
    if not isinstance(replicas, int) or replicas < 0:
        problems = FieldErrors()
        detail = "must be greater than or equal to 0"
        problems.invalid(FieldPath("spec.replicas"), replicas, detail)
        raise errors.Invalid.of(SCALE_KIND, target.key.name, problems)


def _take_identity(new: Obj, scale: Obj) -> None:
    """The Scale's resourceVersion and uid are the object's: they make the write conditional."""
    given = {k: get_path(scale, "metadata", k) for k in ("resourceVersion", "uid")}
    new["metadata"] = {**new["metadata"], **{k: v for k, v in given.items() if v}}


def _paths(target: Target) -> ScalePaths:
    return target.kind.scale or ScalePaths()
