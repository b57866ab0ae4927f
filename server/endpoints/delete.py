"""DELETE of an object or of a selection of a collection."""

from typing import Any

from edgek.api import errors
from edgek.api.meta import Key, Obj
from server.endpoints.body import read_delete_options
from server.endpoints.env import Env
from server.endpoints.negotiate import ListMeta, View, negotiate
from server.endpoints.query import number
from server.endpoints.route import Target
from server.endpoints.select import Selection
from server.registry.registry import WriteContext
from server.request.model import Request, Response
from server.storage.store import Entry

_RETURN_OBJECT = ("pods", "services", "serviceaccounts", "persistentvolumes",
                  "persistentvolumeclaims", "podtemplates", "resourcequotas",
                  "replicationcontrollers")  # fmt: skip
"""Kinds whose deletion answers with the object (ReturnDeletedObject upstream), not a Status."""


async def delete(env: Env, request: Request, target: Target) -> Response:
    options, context = await _options(request)
    view = negotiate(env, request, target.kind)
    entry, gone = await env.registry.delete(target.kind, target.key, options, context)
    return _answer(view, target, entry, gone=gone)


async def delete_collection(env: Env, request: Request, target: Target) -> Response:
    """Deletes what the selectors match now, one after the other; the first failure is told, what
    is gone by then stays gone (as upstream)."""
    options, context = await _options(request)
    selection = Selection.of(target.kind, target.key.namespace, request.query)
    limit = number(request.query, "limit")
    entries = list(await selection.entries(env.registry))
    for entry in entries[:limit] if limit else entries:
        try:
            key = Key(entry.namespace, entry.name)
            await env.registry.delete(target.kind, key, options, context)
        except errors.NotFound:
            continue
    revision = env.registry.store.revision_of(target.kind.storage_prefix)
    return negotiate(env, request, target.kind).many(entries, ListMeta(str(revision)))


async def _options(request: Request) -> tuple[Obj, WriteContext]:
    options = await read_delete_options(request)
    context = WriteContext(
        user=request.user,
        dry_run=bool(options.get("dryRun")),
        options={"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", **options},
        warnings=request.warnings,
    )
    return options, context


def _answer(view: View, target: Target, entry: Entry, *, gone: bool) -> Response:
    kind = target.kind
    if not gone or kind.plural in _RETURN_OBJECT:
        return view.one(entry)
    details: dict[str, Any] = {"name": entry.name, "kind": kind.plural}
    if kind.group:
        details["group"] = kind.group
    details["uid"] = entry.shared()["metadata"]["uid"]
    return Response(
        obj={
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
    )
