"""CSINode and the Node's part in it: which drivers this node has, told to the cluster.

As pkg/volume/csi/nodeinfomanager: the CSINode object for the scheduler and the drivers'
controllers, topology as the Node's labels, node ids as an annotation; and ``volumesInUse`` in the
Node's status, by which a volume is not detached under a pod. What the server has not taken yet is
tried again; a driver works on this node without it.
"""

import asyncio
import json
import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgek.aio.outage import Outage
from edgek.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from edgek.api.meta import Key, Obj, annotations, get_path, labels, uid
from edgek.client.client import Client
from edgek.kinds import CSI_NODE, NODE

log = logging.getLogger(__name__)

NODE_IDS = "csi.volume.kubernetes.io/nodeid"
FIRST_DELAY, MAX_DELAY = 0.5, 30.0


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A driver as its NodeGetInfo tells; ``limit`` 0: none."""

    name: str
    node_id: str
    limit: int = 0
    topology: Mapping[str, str] = field(default_factory=dict)


def plan_csi_node(
    old: Obj | None, node: Obj, changes: Mapping[str, Installed | None]
) -> Obj | None:
    """The CSINode as it is to be after the changes (None: the driver is gone); None where it is
    so already."""
    drivers: list[Obj] = get_path(old, "spec", "drivers", default=[]) if old else []
    kept = [d for d in drivers if d["name"] not in changes]
    new = [_entry(i) for i in changes.values() if i is not None]
    wanted = sorted((*kept, *new), key=lambda d: str(d["name"]))
    if old is not None and wanted == sorted(drivers, key=lambda d: str(d["name"])):
        return None
    name = node["metadata"]["name"]
    fresh: Obj = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {
            "name": name,
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid(node)}
            ],
        },
    }
    return {**(old or fresh), "spec": {"drivers": wanted}}


def _entry(driver: Installed) -> Obj:
    entry: Obj = {
        "name": driver.name,
        "nodeID": driver.node_id,
        "topologyKeys": sorted(driver.topology) or None,
    }
    if driver.limit > 0:
        entry["allocatable"] = {"count": driver.limit}
    return entry


def plan_node(node: Obj, changes: Mapping[str, Installed | None]) -> Obj:
    """A merge patch; empty where nothing differs. Labels of a driver that is gone stay, as
    upstream: volumes may have been placed by them."""
    try:
        ids = json.loads(annotations(node).get(NODE_IDS) or "{}")
    except ValueError:
        ids = {}
    before = dict(ids)
    wanted: dict[str, str] = {}
    for name, driver in changes.items():
        if driver is None:
            ids.pop(name, None)
        else:
            ids[name] = driver.node_id
            wanted |= driver.topology
    meta: Obj = {}
    if different := {k: v for k, v in wanted.items() if labels(node).get(k) != v}:
        meta["labels"] = different
    if ids != before:
        meta["annotations"] = {NODE_IDS: json.dumps(ids) if ids else None}
    return {"metadata": meta} if meta else {}


class NodeReport:
    """Changes are kept until the server has taken them."""

    def __init__(self, client: Client, node_name: str) -> None:
        self._client = client
        self._key = Key("", node_name)
        self._changes: dict[str, Installed | None] = {}
        self._in_use: frozenset[str] | None = None
        """None: nothing to tell."""
        self._told: frozenset[str] = frozenset()
        self._wake = asyncio.Event()

    def install(self, driver: Installed) -> None:
        self._changes[driver.name] = driver
        self._wake.set()

    def uninstall(self, name: str) -> None:
        self._changes[name] = None
        self._wake.set()

    def in_use(self, volumes: Iterable[str]) -> None:
        """What the Node's volumesInUse is to be."""
        self._in_use = frozenset(volumes)
        self._wake.set()

    async def tell_in_use(self, volumes: Iterable[str]) -> None:
        """As ``in_use``, but the server has taken it when this returns. Raises ApiError."""
        self._in_use = frozenset(volumes)
        await self._tell_in_use()

    async def run(self) -> None:
        """Until cancelled."""
        delay = FIRST_DELAY
        outage = Outage(log, "report of storage drivers")
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._tell()
                delay = FIRST_DELAY
                outage.over()
            except ApiError as err:
                outage.failed(err, known=isinstance(err, Conflict))
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(delay * 2, MAX_DELAY)
                self._wake.set()

    async def _tell(self) -> None:
        await self._tell_in_use()
        changes = dict(self._changes)
        if not changes:
            return
        node = await self._client.get(NODE, self._key)
        if patch := plan_node(node, changes):
            await self._client.patch(NODE, self._key, patch)
        old = await self._csi_node()
        # Of a driver that is there only the limit can be changed: one that is different goes first.
        if old is not None and (gone := _different(old, changes)):
            old = await self._write(old, node, dict.fromkeys(gone))
        await self._write(old, node, changes)
        for name, driver in changes.items():
            if self._changes.get(name) is driver:
                del self._changes[name]

    async def _write(
        self, old: Obj | None, node: Obj, changes: Mapping[str, Installed | None]
    ) -> Obj | None:
        new = plan_csi_node(old, node, changes)
        if new is None:
            return old
        if old is not None:
            return await self._client.update(CSI_NODE, new)
        try:
            return await self._client.create(CSI_NODE, new)
        except AlreadyExists as err:
            raise Conflict(str(err)) from err

    async def _csi_node(self) -> Obj | None:
        try:
            return await self._client.get(CSI_NODE, self._key)
        except NotFound:
            return None

    async def _tell_in_use(self) -> None:
        wanted = self._in_use
        if wanted is None or wanted == self._told:
            return
        body = {"status": {"volumesInUse": sorted(wanted) or None}}
        await self._client.patch(NODE, self._key, body, subresource="status")
        self._told = wanted


def _different(old: Obj, changes: Mapping[str, Installed | None]) -> list[str]:
    found = []
    for entry in get_path(old, "spec", "drivers", default=[]):
        driver = changes.get(entry["name"])
        if driver is not None:
            keys = entry.get("topologyKeys") or []
            if entry["nodeID"] != driver.node_id or sorted(keys) != sorted(driver.topology):
                found.append(entry["name"])
    return found
