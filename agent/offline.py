"""What the agent does on the device itself, whether or not a server is in reach: pods from the
checkpoint and from manifests, the local socket, the shutdown in good order. Wiring; no decisions.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.api.stream import Handler, Socket, answers
from agent.node.checkpoint import Checkpoint
from agent.node.happened import reference
from agent.node.network_feed import NetworkFeed
from agent.node.overview import Overview
from agent.pods.mirrors import Mirrors
from agent.pods.shutdown import Shutdown
from agent.pods.sources import Ref
from agent.pods.static_files import StaticFiles
from agent.pods.store import Pods
from agent.pods.sync import PodSync
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj, key_of, uid
from edgek.client.client import Client
from edgek.control.events import Source
from edgek.control.informer import Informers
from edgek.kinds import (
    CLUSTER_TRUST_BUNDLE,
    CONFIG_MAP,
    CSI_DRIVER,
    ENDPOINTS,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RUNTIME_CLASS,
    SECRET,
)

log = logging.getLogger(__name__)

REMEMBERED = (
    CONFIG_MAP, SECRET, PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME, ENDPOINTS, CSI_DRIVER,
    RUNTIME_CLASS, CLUSTER_TRUST_BUNDLE,
)  # fmt: skip
"""Kinds that pods refer to and cannot start without: the checkpoint has them."""
_KINDS = {kind.kind: kind for kind in REMEMBERED}
INVALID = "InvalidManifest"


def follow_pods(
    sync: PodSync, informers: Informers, tasks: Tasks, *, checkpoint: Checkpoint, node_name: str
) -> None:
    """The server's pods, or the checkpoint's until it has answered."""
    pods, sources = sync.parts.pods, sync.parts.sources
    restored = checkpoint.load("pods")
    sources.remember(
        {ref: obj for obj in checkpoint.load("objects") if (ref := _ref(obj)) is not None},
        missing=filter(None, map(_ref, checkpoint.load("missing"))),
        pods=map(uid, restored),
    )
    pods.restore(restored)
    checkpoint.provide("pods", pods.from_server)
    checkpoint.provide("objects", lambda: [obj for _, obj in sources.known()])
    checkpoint.provide("missing", lambda: map(_named, sources.missing()))
    informer = informers.get(POD, field_selector=f"spec.nodeName={node_name}")

    def changed(old: Obj | None, new: Obj | None) -> None:
        pods.on_change(old, new)
        checkpoint.mark("pods")

    async def synced() -> None:
        await informer.wait_synced()
        pods.sync(informer.list())
        sync.look_at_all()

    informer.on_change(changed)
    sources.on_change = lambda: checkpoint.mark("objects", "missing")
    tasks.spawn(synced(), name="first-list")


def _named(ref: Ref) -> Obj:
    """What there is none of, in the form of an object that says no more than its name."""
    meta = {"namespace": ref.key.namespace, "name": ref.key.name}
    return {"kind": ref.kind.kind, "metadata": meta, "fields": ref.fields}


def _ref(obj: Obj) -> Ref | None:
    """What an object of the checkpoint, or what names one there is none of, is found by."""
    kind = _KINDS.get(obj.get("kind", ""))
    return None if kind is None else Ref(kind, key_of(obj), obj.get("fields") or "")


@dataclass(frozen=True, kw_only=True)
class StaticPods:
    """``files`` and ``mirrors`` are to be run."""

    files: StaticFiles
    mirrors: Mirrors


async def start_static_pods(
    sync: PodSync,
    *,
    folder: Path,
    node_name: str,
    client: Client,
    feed: NetworkFeed,
    events: Source,
    checkpoint: Checkpoint,
    clock: Clock,
) -> StaticPods:
    """Reads the manifests before anybody could take their containers for orphans."""
    # As the kubelet: events about the node have its name for a uid.
    about = reference(node_name)

    def changed(found: list[Obj]) -> None:
        sync.parts.pods.set_static(found)
        checkpoint.mark("static")

    def refused(path: Path, why: str) -> None:
        events.warning(about, INVALID, f"Could not process manifest file {path}: {why}")

    mirrors = Mirrors(client, sync.parts.pods, sync.parts.writer, node=lambda: feed.node(node_name))
    feed.nodes.informer.on_change(mirrors.on_node)
    files = StaticFiles(
        folder=folder, node_name=node_name, clock=clock, changed=changed, refused=refused
    )
    files.restore(checkpoint.load("static"))
    checkpoint.provide("static", files.good)
    try:
        await files.read()
    except OSError as err:
        log.warning("manifests cannot be read path=%s err=%s", folder, err)
    return StaticPods(files=files, mirrors=mirrors)


def by_run_uid(handlers: Mapping[str, Handler], pods: Pods) -> dict[str, Handler]:
    """The server names a static pod by its mirror's uid; its containers carry the pod's own."""

    def translated(handler: Handler) -> Handler:
        async def handle(params: Mapping[str, Any], socket: Socket) -> None:
            api_uid = params.get("podUID")
            own = pods.run_uid(api_uid) if isinstance(api_uid, str) else api_uid
            await handler({**params, "podUID": own} if own != api_uid else params, socket)

        return handle

    return {kind: translated(handler) for kind, handler in handlers.items()}


def local_handlers(
    sync: PodSync, *, streams: Mapping[str, Handler], overview: Overview, shutdown: Shutdown
) -> dict[str, Handler]:
    """What ``edgek node`` may ask for, by kind. The streams are those of the tunnel."""
    parts = sync.parts

    async def pods() -> list[Obj]:
        return [parts.writer.latest(pod) for pod in parts.pods.all()]

    async def end_all() -> Obj:
        before = len(shutdown.left())
        await shutdown.run()
        left = len(shutdown.left())
        return {"ended": before - left, "left": left}

    return {
        "pods": answers(pods),
        "status": answers(overview.read),
        "shutdown": answers(end_all),
        "log": streams["log"],
        "exec": streams["exec"],
        "image": streams["image"],
    }
