"""How sync is put together from a runtime, a network, a client and a host."""

from collections.abc import Callable, Sequence
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
from agent.pods.probes import Probes, Told
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
    images, image_volume = _images(
        runtime, tasks, events=events, clock=clock, parallel=parallel_pulls, changed=queue.add,
        records=PullRecords(pod_root.parent / "image-pulls.json"),
    )  # fmt: skip
    tokens = Tokens(client, clock=clock)
    table = volume_plugins(
        tokens=tokens, mount=mount, image=image_volume, daemons=Daemons(cgroups, mount=mount),
        local=LocalPath(storage_root or pod_root.parent / "storage"),
        shares=NfsDirectory(pod_root.parent / "shares", mount=mount),
    )  # fmt: skip
    volumes = Volumes(
        pod_root, (*table, *more_volumes), tokens=tokens, mount=mount, warn=events.warning,
        started=lambda: [p for p in pods.all() if containers.of(uid(p)) and not is_terminal(p)],
    )  # fmt: skip
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
        lookup=sources.get, devices=own_devices, unkept=cgroups.unkept,
    )  # fmt: skip
    parts = Parts(
        host=host, ask_node=partial(ask_node, client, host.node_name),
        runtime=runtime, network=network, cgroups=cgroups, pods=pods,
        containers=containers, launcher=launcher, volumes=volumes, isolation=isolation,
        sources=sources, probes=Probes(runtime, tasks, changed=queue.add, tell=_teller(events)),
        writer=StatusWriter(client, pods), cleaner=cleaner, events=events, clock=clock,
        tasks=tasks, queue=queue,
    )  # fmt: skip
    return PodSync(parts)


def _teller(events: Source) -> Told:
    def unhealthy(pod: Obj, container: Obj, reason: str, message: str) -> None:
        events.warning(pod, reason, message, field_path=field_path(pod, container["name"]))

    return unhealthy


def _images(
    runtime: Runtime, tasks: Tasks, *, events: Source, clock: Clock, parallel: int,
    records: PullRecords, changed: Callable[[str], None],
) -> tuple[Images, ImageVolume]:  # fmt: skip
    """Who waits for a pull, and volumes that do."""

    def pulled(pod_uid: str) -> None:
        volume.changed(pod_uid)
        changed(pod_uid)

    images = Images(runtime, tasks, clock=clock, changed=pulled, parallel=parallel, records=records)
    volume = ImageVolume(images, runtime=runtime, events=events, clock=clock)
    return images, volume
