"""MemoryApi: an API server of one dict, as a Transport, for tests of control loops.

It keeps what loops depend on: resourceVersions and conflicts, generation, generateName,
uids, finalizers and deletionTimestamp, propagation policies as finalizers, status apart from
spec, selectors, and watches that resume, bookmark and expire. It has no defaults, validation,
authorization or admission: those are the real server's, and flows test against that.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from edgek import kinds
from edgek.api.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
)
from edgek.api.meta import Key, Obj, deep_copy, get_path, key_of
from edgek.api.selectors import parse_field_selector, parse_selector
from edgek.client.client import Client
from edgek.client.transport import Call, WatchEvent
from edgek.kinds.kind import Kind

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"


class MemoryApi:
    """``calls`` has every call but watches; ``before`` may raise to make a call fail,
    ``after`` to make it fail once it is done."""

    def __init__(self, all_kinds: tuple[Kind, ...] = kinds.ALL) -> None:
        self.kinds = all_kinds
        self.objects: dict[tuple[Kind, Key], Obj] = {}
        self.calls: list[Call] = []
        self.before: list[Callable[[Call], None]] = []
        self.after: list[Callable[[Call], None]] = []
        self.held: set[Kind] = set()
        """Watches of these say nothing: whoever relies on them looks at the past."""
        self.lists_stale = False
        """Lists carry a resourceVersion from which no watch can start."""
        self.now = "2026-01-01T00:00:00Z"
        self._numbers = itertools.count(1)
        self._history: list[tuple[int, Kind, str, Obj, Obj | None]] = []
        self._compacted = 0
        self._broken = 0
        self._version = 0
        self._pulse = asyncio.Event()

    # For tests

    @property
    def client(self) -> Client:
        return Client(self)

    @property
    def writes(self) -> list[Call]:
        return [c for c in self.calls if c.method != "GET"]

    def all(self, kind: Kind, namespace: str = "") -> list[Obj]:
        found = [o for (k, key), o in self.objects.items() if k == kind]
        return [o for o in found if not namespace or key_of(o).namespace == namespace]

    def one(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        return self.objects.get((kind, Key(namespace, name)))

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """Creates or replaces without asking, uid and status as given."""
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, **deep_copy(obj)}
        meta = obj["metadata"]
        old = self.objects.get((kind, key_of(obj)))
        meta.setdefault("uid", old["metadata"]["uid"] if old else f"uid-{next(self._numbers)}")
        meta.setdefault("creationTimestamp", self.now)
        return self._store(kind, obj)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        self._remove(kind, self.objects[kind, Key(namespace, name)])

    def compact(self) -> None:
        """Forgets all history: watches from before now are Expired."""
        self._compacted = self._version
        self._history.clear()

    def release(self, kind: Kind) -> None:
        """Watches of a held kind go on."""
        self.held.discard(kind)
        self._wake()

    def break_watches(self) -> None:
        self._broken += 1
        self._wake()

    # The Transport

    async def call(self, call: Call) -> Obj:
        self.calls.append(call)
        await asyncio.sleep(0)
        for hook in self.before:
            hook(call)
        answer = self._answer(call)
        for hook in self.after:
            hook(call)
        return answer

    def _answer(self, call: Call) -> Obj:
        kind, namespace, name, subresource = self._resolve(call.path)
        if call.method == "POST":
            return self._create(kind, namespace, call.body)
        if not name:
            return self._of_all(kind, namespace, call)
        key = Key(namespace, name)
        old = self.objects.get((kind, key))
        if old is None:
            raise NotFound.of(kind, name)
        match call.method:
            case "GET":
                return old
            case "PUT":
                return self._update(kind, old, deep_copy(call.body), subresource)
            case "PATCH":
                return self._update(kind, old, _merged(old, call.body), subresource)
            case "DELETE":
                return self._delete(kind, old, call.body or {})
        raise MethodNotAllowed(call.method)

    @asynccontextmanager
    async def watch(self, call: Call) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        kind, namespace, _, _ = self._resolve(call.path)
        since = int(call.query.get("resourceVersion") or self._version)
        if since < self._compacted:
            raise Expired(f"too old resource version: {since} ({self._compacted})")
        yield self._events(kind, namespace, call, since)

    async def close(self) -> None:
        pass

    # Inside

    def _resolve(self, path: str) -> tuple[Kind, str, str, str]:
        for kind in self.kinds:
            if not path.startswith(kind.root + "/"):
                continue
            parts = path.removeprefix(kind.root + "/").split("/")
            namespace = ""
            if kind.namespaced and parts[0] == "namespaces" and len(parts) > 2:
                namespace, parts = parts[1], parts[2:]
            if parts[0] == kind.plural:
                name, subresource = (*parts[1:], "", "")[:2]
                if kind.plural == "namespaces" and subresource not in ("", "status", "finalize"):
                    continue  # a collection inside the namespace
                return kind, namespace, name, subresource
        raise NotFound.path()

    def _matches(self, kind: Kind, namespace: str, call: Call, obj: Obj | None) -> bool:
        if obj is None or (namespace and key_of(obj).namespace != namespace):
            return False
        labels = parse_selector(call.query.get("labelSelector", ""))
        fields = parse_field_selector(call.query.get("fieldSelector", ""))
        return labels.matches(obj["metadata"].get("labels")) and fields.matches(
            obj, kind.read_field
        )

    def _of_all(self, kind: Kind, namespace: str, call: Call) -> Obj:
        items = [o for o in self.all(kind) if self._matches(kind, namespace, call, o)]
        if call.method == "DELETE":
            for obj in items:
                self._delete(kind, obj, call.body or {})
        version = "0" if self.lists_stale else str(self._version)
        return {"metadata": {"resourceVersion": version}, "items": items}

    def _create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        obj = deep_copy(body)
        meta = obj["metadata"]
        if not meta.get("name"):
            meta["name"] = f"{meta['generateName']}{next(self._numbers):05d}"
        key = Key(namespace, meta["name"])
        if (kind, key) in self.objects:
            raise AlreadyExists.of(kind, key.name)
        if kind.has_status and kind.kind != "Pod":
            obj.pop("status", None)
        meta |= {"uid": f"uid-{next(self._numbers)}", "creationTimestamp": self.now}
        meta |= {"generation": 1} | ({"namespace": namespace} if namespace else {})
        return self._store(kind, obj)

    def _update(self, kind: Kind, old: Obj, new: Obj, subresource: str) -> Obj:
        version = new["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise Conflict.of(kind, old["metadata"]["name"])
        if (wanted := new["metadata"].get("uid")) and wanted != old["metadata"]["uid"]:
            raise Conflict.of(kind, old["metadata"]["name"], f"uid {wanted} does not match")
        if subresource == "status":
            new = {**old, "status": new.get("status")}
        elif kind.has_status and subresource != "finalize":
            new = {**new, "status": old.get("status")}
        new = {k: v for k, v in new.items() if v is not None}
        meta = new["metadata"] = {**new["metadata"]}
        for field in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "namespace"):
            if field in old["metadata"]:
                meta[field] = old["metadata"][field]
        meta["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new.get("spec") != old.get("spec"):
            meta["generation"] = (meta.get("generation") or 0) + 1
        if new == old:
            return old
        if meta.get("deletionTimestamp") and not _finalizers(kind, new):
            return self._remove(kind, new)
        return self._store(kind, new)

    def _delete(self, kind: Kind, old: Obj, options: Obj) -> Obj:
        for field, value in (options.get("preconditions") or {}).items():
            if old["metadata"].get(field) != value:
                why = f"the {field} in the precondition ({value}) does not match"
                raise Conflict.of(kind, old["metadata"]["name"], why)
        meta = {**old["metadata"]}
        finalizers = [f for f in meta.get("finalizers") or () if f not in (FOREGROUND, ORPHAN)]
        policy = options.get("propagationPolicy")
        finalizers += {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy or "", [])
        if not policy:
            finalizers = list(meta.get("finalizers") or ())
        new = {**old, "metadata": {**meta, "finalizers": finalizers}}
        if not _finalizers(kind, new):
            return self._remove(kind, new)
        new["metadata"].setdefault("deletionTimestamp", self.now)
        if kind.kind == "Namespace":
            new["status"] = {**(new.get("status") or {}), "phase": "Terminating"}
        return self._store(kind, new)

    def _store(self, kind: Kind, obj: Obj) -> Obj:
        key = key_of(obj)
        old = self.objects.get((kind, key))
        return self._commit(kind, "MODIFIED" if old else "ADDED", obj, old)

    def _remove(self, kind: Kind, obj: Obj) -> Obj:
        return self._commit(kind, "DELETED", obj, self.objects[kind, key_of(obj)])

    def _commit(self, kind: Kind, what: str, obj: Obj, old: Obj | None) -> Obj:
        self._version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        json.dumps(obj)  # wire-shaped, or the test is wrong
        if what == "DELETED":
            del self.objects[kind, key_of(obj)]
        else:
            self.objects[kind, key_of(obj)] = obj
        self._history.append((self._version, kind, what, obj, old))
        self._wake()
        return obj

    def _wake(self) -> None:
        self._pulse.set()
        self._pulse = asyncio.Event()

    async def _events(
        self, kind: Kind, namespace: str, call: Call, since: int
    ) -> AsyncIterator[WatchEvent]:
        broken = self._broken
        while True:
            pulse = self._pulse
            if since < self._compacted:
                raise Expired(f"too old resource version: {since} ({self._compacted})")
            ready = [] if kind in self.held else self._history
            for version, of, what, obj, old in [h for h in ready if h[0] > since]:
                since = version
                if of != kind:
                    continue
                was = self._matches(kind, namespace, call, old)
                matches = what != "DELETED" and self._matches(kind, namespace, call, obj)
                if was or matches:
                    name = "DELETED" if not matches else "MODIFIED" if was else "ADDED"
                    yield WatchEvent(name, obj)
            if broken != self._broken:
                return
            await pulse.wait()


def _finalizers(kind: Kind, obj: Obj) -> list[str]:
    more = get_path(obj, "spec", "finalizers", default=[]) if kind.kind == "Namespace" else []
    return [*(obj["metadata"].get("finalizers") or ()), *more]


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386, and of strategic merge patches what loops use."""
    if not isinstance(patch, dict):
        return patch
    out = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if key.startswith(DELETE_PRIMITIVES):
            field = key.removeprefix(DELETE_PRIMITIVES)
            out[field] = [item for item in out.get(field) or () if item not in value]
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = _merged(out.get(key), value)
    return out


def fail(method: str, plural: str, error: ApiError, times: int = 1) -> Callable[[Call], None]:
    """A ``before`` hook: the next ``times`` such calls raise ``error``."""
    left = [times]

    def hook(call: Call) -> None:
        if left[0] and call.method == method and f"/{plural}" in call.path:
            left[0] -= 1
            raise error

    return hook


def dies_at(number: int) -> Callable[[Call], None]:
    """A hook: at the ``number``-th write (events do not count) the server is gone, and stays so."""
    left = [number]

    def hook(call: Call) -> None:
        if call.method != "GET" and "/events" not in call.path:
            left[0] -= 1
        if left[0] < 0:
            raise ServiceUnavailable("killed")

    return hook
