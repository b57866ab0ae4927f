"""How sync is put together from a runtime, a network, a client and a host."""

from collections.abc import Sequence
from pathlib import Path

from agent.network import Network
from agent.pods.cleanup import Cleaner
from agent.pods.images import Images
from agent.pods.launch import Launcher, field_path
from agent.pods.memory import Host
from agent.pods.mounts import mount
from agent.pods.parts import Parts
from agent.pods.probes import Probes
from agent.pods.sources import Sources
from agent.pods.status_writer import StatusWriter
from agent.pods.store import Containers, Pods
from agent.pods.sync import PodSync, new_queue
from agent.pods.tokens import Tokens
from agent.pods.volumes.plugin import Mounter, VolumePlugin
from agent.pods.volumes.table import volume_plugins
from agent.pods.volumes.volumes import Volumes
from agent.runtime.cgroups import Cgroups
from agent.runtime.runtime import Runtime
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from edgek.client.client import Client
from edgek.control.events import Source


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
    more_volumes: Sequence[VolumePlugin] = (),
) -> PodSync:
    """``tasks`` owns what outlives a look at a pod; ``pod_root`` holds the pods' directories;
    ``more_volumes`` are types beside those of volumes/table.py."""
    queue = new_queue()
    pods = Pods(queue.add)
    containers = Containers(runtime)
    tokens = Tokens(client, clock=clock)
    plugins = (*volume_plugins(tokens=tokens, mount=mount), *more_volumes)
    volumes = Volumes(pod_root, plugins, tokens=tokens, mount=mount)
    sources = Sources(client, tasks, changed=queue.add)
    images = Images(runtime, tasks, clock=clock, changed=queue.add)

    def unhealthy(pod: Obj, container: Obj, reason: str, message: str) -> None:
        events.warning(pod, reason, message, field_path=field_path(pod, container["name"]))

    return PodSync(
        Parts(
            host=host,
            runtime=runtime,
            network=network,
            cgroups=cgroups,
            pods=pods,
            containers=containers,
            launcher=Launcher(
                runtime=runtime,
                containers=containers,
                images=images,
                events=events,
                clock=clock,
                lookup=sources.get,
            ),
            volumes=volumes,
            sources=sources,
            probes=Probes(runtime, tasks, changed=queue.add, tell=unhealthy),
            writer=StatusWriter(client, pods),
            cleaner=Cleaner(
                runtime=runtime,
                network=network,
                cgroups=cgroups,
                containers=containers,
                volumes=volumes,
                log_root=host.log_root,
            ),
            events=events,
            clock=clock,
            tasks=tasks,
            queue=queue,
        )
    )
