"""What the server may ask of this node through the tunnel, put together from what the agent has.

One handler for each kind of stream; those of kind http are the kubelet's endpoints
(agent/api/kubelet.py).
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.api.dial import dial_handler
from agent.api.log import log_handler
from agent.api.port_forward import port_forward_handler
from agent.api.session import attach_handler, exec_handler
from agent.api.stream import Handler, Socket
from agent.config import AgentConfig
from agent.network import Network
from agent.node.facts import KUBELET_VERSION, Facts
from agent.pods.sync import PodSync
from agent.pods.volumes.claims import claim_key
from agent.pods.volumes.plugin import VolumeError
from agent.runtime.machine import Machine
from agent.runtime.runtime import Runtime
from agent.stats.disk import Disks, Measure
from edgek.aio.clock import Clock
from edgek.api.meta import get_path, uid

if TYPE_CHECKING:
    from agent.stats.own_metrics import Own
    from agent.stats.snapshot import Snapshot
    from agent.stats.volumes import VolumeAt

IMAGES = Path("/var/lib/containers")
"""The system's own storage, which the agent's Podman uses too."""
MACHINE_IDS = {"boot_id": "bootID", "machine_id": "machineID", "system_uuid": "systemUUID"}


@dataclass(frozen=True, kw_only=True)
class Node:
    """``measure`` gives what pods have on disk."""

    config: AgentConfig
    facts: Facts
    machine: Machine
    runtime: Runtime
    network: Network
    sync: PodSync
    measure: Measure
    clock: Clock


def streams(node: Node) -> dict[str, Handler]:
    """By kind."""
    pods, logs = node.sync.parts.pods, log_handler(node.runtime, node.clock)
    return {
        "log": logs,
        "exec": exec_handler(node.runtime),
        "attach": attach_handler(node.runtime),
        "portforward": port_forward_handler(node.network, pods.get),
        "dial": dial_handler(pods.get, node.sync.address),
        "http": _kubelet(node, logs),
        "image": _images(node),
    }


def _kubelet(node: Node, logs: Handler) -> Handler:
    """Made, and imported, when it is asked for the first time: on most nodes never."""
    made: Handler | None = None

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        nonlocal made
        made = made or make_kubelet(node, logs)
        await made(params, socket)

    return handle


def _images(node: Node) -> Handler:
    """Imported when it is asked for, too."""

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        from agent.api.images import image_handler
        from agent.runtime.image_work import ImageWork
        from agent.runtime.libpod import Libpod

        work = ImageWork(Libpod(str(node.config.run_dir / "podman.sock")))
        await image_handler(node.runtime, work, node.sync.parts.launcher.images)(params, socket)

    return handle


def make_kubelet(node: Node, logs: Handler) -> Handler:
    """Streams of kind http."""
    from agent.api.http import http_handler
    from agent.api.kubelet import Kubelet
    from agent.network.translate import pod_link
    from agent.pods.probe_metrics import probe_families
    from agent.stats.cgroups import CgroupReader
    from agent.stats.own_metrics import Own
    from agent.stats.rates import Rates
    from agent.stats.snapshot import Collector
    from agent.stats.volumes import ClaimedVolumes

    parts, config = node.sync.parts, node.config
    collector = Collector(
        reader=CgroupReader(machine=node.machine),
        pods=parts.pods.all,
        containers=parts.containers.of,
        paths=parts.cgroups.pods,
        link=pod_link,
        root=parts.cgroups.root,
    )

    async def take() -> "Snapshot":
        return await asyncio.to_thread(collector.take, collector.known())

    def own() -> "Own":
        held = [parts.containers.of(pod_uid) for pod_uid in parts.containers.uids()]
        states = Counter(container.state for each in held for container in each)
        return Own(
            node_name=config.node_name,
            version=KUBELET_VERSION,
            cpus=node.facts.cpus,
            memory=node.facts.memory,
            swap=int(get_path(node.facts.info, "swap", "capacity", default=0)),
            ids={label: str(node.facts.info[key]) for label, key in MACHINE_IDS.items()},
            desired_pods=len(parts.pods.all()),
            pods=sum(any(c.state == "running" for c in each) for each in held),
            containers=states,
        )

    kubelet = Kubelet(
        volumes=ClaimedVolumes(lambda: claimed_volumes(node.sync)),
        node_name=config.node_name,
        collector=collector,
        rates=Rates(take),
        disks=Disks(node.measure),
        logs=logs,
        log_dir=config.log_dir,
        data_dir=config.data_dir,
        image_dir=IMAGES,
        own=own,
        probes=lambda: probe_families(parts.probes.totals()),
        config=lambda: configuration(config),
    )
    return http_handler(kubelet.endpoints())


def claimed_volumes(sync: PodSync) -> Iterator["VolumeAt"]:
    """Those that are mounted now; of a raw device nothing is known."""
    from agent.stats.volumes import VolumeAt

    for pod in sync.parts.pods.all():
        for volume in get_path(pod, "spec", "volumes", default=[]):
            claim = claim_key(pod, volume)
            if claim is None:
                continue
            with suppress(VolumeError):
                provided = sync.parts.volumes.get(uid(pod), volume["name"])
                if not provided.device or provided.measure is not None:
                    yield VolumeAt(
                        pod_uid=uid(pod),
                        namespace=claim.namespace,
                        volume=volume["name"],
                        claim=claim.name,
                        path=provided.path,
                        raw=provided.device,
                        ask=provided.measure,
                    )


def configuration(config: AgentConfig) -> Mapping[str, Any]:
    """What /configz tells: a KubeletConfiguration, of what there is of it here."""
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "cgroupRoot": config.cgroup_root,
        "maxPods": config.max_pods,
        "podLogsDir": str(config.log_dir),
        "staticPodPath": str(config.manifests),
    }
