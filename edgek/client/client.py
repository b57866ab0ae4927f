"""The typed verbs over a Transport: what controllers, scheduler, agent and CLI use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Key, Obj, key_of
from edgek.client.transport import Call, Transport, WatchEvent
from edgek.kinds.kind import Kind

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(frozen=True)
class ObjectList:
    """One page of a list. ``items`` may be shared with others: never mutate them."""

    items: list[Obj]
    resource_version: str
    continue_token: str = ""


def _query(**options: Any) -> dict[str, str]:
    """Query parameters with the empty ones left out; booleans as true."""
    return {k: "true" if v is True else str(v) for k, v in options.items() if v}


class Client:
    """Every method raises ``edgek.api.errors``; none retries by itself."""

    def __init__(self, transport: Transport, *, field_manager: str = "") -> None:
        self.transport = transport
        self._manager = field_manager

    async def get(self, kind: Kind, key: Key, *, subresource: str = "") -> Obj:
        path = kind.path(key.namespace, key.name, subresource)
        return await self.transport.call(Call(method="GET", path=path))

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        """One page (everything where ``limit`` is 0). Items carry apiVersion and kind.
        ``resource_version`` "0": as caches list, from the server's own."""
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            resourceVersion=resource_version,
            **{"continue": continue_token},
        )
        got = await self.transport.call(Call(method="GET", path=kind.path(namespace), query=query))
        meta = got["metadata"]
        items = got.get("items") or []
        return ObjectList(items, meta.get("resourceVersion", ""), meta.get("continue", ""))

    async def create(
        self,
        kind: Kind,
        obj: Obj,
        *,
        dry_run: bool = False,
        subresource: str = "",
        name: str = "",
        field_validation: str = "",
    ) -> Obj:
        """POSTs to the collection, or to ``name``'s subresource (binding, eviction, token).
        ``field_validation`` is Ignore, Warn or Strict."""
        namespace = obj.get("metadata", {}).get("namespace", "")
        path = kind.path(namespace, name, subresource)
        query = _query(
            fieldManager=self._manager,
            dryRun="All" if dry_run else "",
            fieldValidation=field_validation,
        )
        return await self.transport.call(Call(method="POST", path=path, query=query, body=obj))

    async def update(self, kind: Kind, obj: Obj, *, subresource: str = "") -> Obj:
        """PUT; conditional on ``metadata.resourceVersion`` where the object carries one."""
        key = key_of(obj)
        path = kind.path(key.namespace, key.name, subresource)
        query = _query(fieldManager=self._manager)
        return await self.transport.call(Call(method="PUT", path=path, query=query, body=obj))

    async def update_status(self, kind: Kind, obj: Obj) -> Obj:
        return await self.update(kind, obj, subresource="status")

    async def patch(
        self,
        kind: Kind,
        key: Key,
        body: Any,
        *,
        patch_type: str = "merge",
        subresource: str = "",
        force: bool = False,
        dry_run: bool = False,
        field_validation: str = "",
    ) -> Obj:
        """``patch_type`` is one of PATCH_TYPES."""
        path = kind.path(key.namespace, key.name, subresource)
        query = _query(
            fieldManager=self._manager,
            force=force,
            dryRun="All" if dry_run else "",
            fieldValidation=field_validation,
        )
        content_type = PATCH_TYPES[patch_type]
        call = Call(method="PATCH", path=path, query=query, body=body, content_type=content_type)
        return await self.transport.call(call)

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
        preconditions: Mapping[str, str] | None = None,
    ) -> Obj:
        """Returns the deleted object, or the object with its deletionTimestamp set."""
        options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        if preconditions:
            options["preconditions"] = dict(preconditions)
        path = kind.path(key.namespace, key.name)
        return await self.transport.call(Call(method="DELETE", path=path, body=options))

    def watch(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Changes after ``resource_version``, with bookmarks. Most callers want an Informer."""
        query = _query(
            watch=True,
            allowWatchBookmarks=True,
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_seconds,
        )
        return self.transport.watch(Call(method="GET", path=kind.path(namespace), query=query))
