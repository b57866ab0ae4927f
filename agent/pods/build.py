"""How sync is put together from a runtime, a network, a client and a host."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from agent.devices.watch import DeviceWatch
from agent.network import Network
from agent.pods.cleanup import Cleaner
from agent.pods.devices import PodDevices
from agent.pods.id_ranges import IdRanges
from agent.pods.images import PARALLEL_PULLS, Images
from agent.pods.isolation import Holders, Isolation
from agent.pods.launch import Launcher, field_path
from agent.pods.memory import Host
from agent.pods.mounts import mount
from agent.pods.node_object import ask_node
from agent.pods.parts import Parts
from agent.pods.probes import Probes
from agent.pods.pull_records import PullRecords
from agent.pods.sources import Sources
from agent.pods.status_writer import StatusWriter
from agent.pods.store import Containers, Pods
from agent.pods.sync import PodSync, new_queue
from agent.pods.tokens import Tokens
from agent.pods.volumes.daemons import Daemons
from agent.pods.volumes.image import ImageVolume
from agent.pods.volumes.local_path import LocalPath
from agent.pods.volumes.nfs_directory import NfsDirectory
from agent.pods.volumes.plugin import Mounter, VolumePlugin
from agent.pods.volumes.table import volume_plugins
from agent.pods.volumes.volumes import Volumes
from agent.runtime.cgroups import Cgroups
from agent.runtime.pid_holder import PidHolders
from agent.runtime.runtime import Runtime
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj, uid
from edgek.client.client import Client
from edgek.control.events import Source
from edgek.kinds.pods import is_terminal

HOLDERS = Path("/run/edgek/holders")


def build_pod_sync(
    *,
    host: Host,
    client: Client,
    runtime: Runtime,
    network: Network,
    cgroups: Cgroups,
    events: Source,
    clock: Clock,
    tasks: Tasks,
    pod_root: Path,
    mount: Mounter = mount,
    holders: Holders | None = None,
    storage_root: Path | None = None,
    more_volumes: Sequence[VolumePlugin] = (),
    devices: DeviceWatch | None = None,
    parallel_pulls: int = PARALLEL_PULLS,
) -> PodSync:
    """``tasks`` owns what outlives a look at a pod; ``pod_root`` holds the pods' directories;
    ``more_volumes`` are types beside those of volumes/table.py."""
    queue = new_queue()
    pods = Pods(queue.add)
    containers = Containers(runtime)
    tokens = Tokens(client, clock=clock)

    def image_changed(pod_uid: str) -> None:
        image_volume.changed(pod_uid)
        queue.add(pod_uid)

    images = Images(
        runtime, tasks, clock=clock, changed=image_changed, parallel=parallel_pulls,
        records=PullRecords(pod_root.parent / "image-pulls.json"),
    )  # fmt: skip
    image_volume = ImageVolume(images, runtime=runtime, events=events, clock=clock)
    table = volume_plugins(
        tokens=tokens,
        mount=mount,
        daemons=Daemons(cgroups, mount=mount),
        local=LocalPath(storage_root or pod_root.parent / "storage"),
        shares=NfsDirectory(pod_root.parent / "shares", mount=mount),
        image=image_volume,
    )
    volumes = Volumes(pod_root, (*table, *more_volumes), tokens=tokens, mount=mount)
    volumes.started = lambda: [
        pod for pod in pods.all() if containers.of(uid(pod)) and not is_terminal(pod)
    ]
    sources = Sources(client, tasks, changed=queue.add)
    isolation = Isolation(
        security=host.security, holders=holders or PidHolders(HOLDERS), cgroups=cgroups,
        ranges=IdRanges(pod_root), lookup=sources.get,
    )  # fmt: skip
    cleaner = Cleaner(
        runtime=runtime, network=network, cgroups=cgroups, containers=containers,
        volumes=volumes, isolation=isolation, log_root=host.log_root,
    )  # fmt: skip
    own_devices = PodDevices(watch=devices, pods=pods, containers=containers) if devices else None
    launcher = Launcher(
        runtime=runtime, containers=containers, images=images, events=events, clock=clock,
        lookup=sources.get, devices=own_devices,
    )  # fmt: skip

    def unhealthy(pod: Obj, container: Obj, reason: str, message: str) -> None:
        events.warning(pod, reason, message, field_path=field_path(pod, container["name"]))

    parts = Parts(
        host=host, ask_node=partial(ask_node, client, host.node_name),
        runtime=runtime, network=network, cgroups=cgroups, pods=pods,
        containers=containers, launcher=launcher, volumes=volumes, isolation=isolation,
        sources=sources, probes=Probes(runtime, tasks, changed=queue.add, tell=unhealthy),
        writer=StatusWriter(client, pods), cleaner=cleaner, events=events, clock=clock,
        tasks=tasks, queue=queue,
    )  # fmt: skip
    return PodSync(parts)
