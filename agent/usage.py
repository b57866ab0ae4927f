"""How the kubelet's endpoints (agent/api/kubelet.py) are put together from what the agent has."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.api.http import http_handler
from agent.api.kubelet import Kubelet
from agent.api.stream import Handler
from agent.network.translate import pod_link
from agent.node.facts import KUBELET_VERSION, Facts
from agent.pods.probe_metrics import probe_families
from agent.pods.sync import PodSync
from agent.runtime.machine import Machine
from agent.stats.cgroups import CgroupReader
from agent.stats.disk import Disks, Measure, PodDisk
from agent.stats.own_metrics import Own
from agent.stats.rates import Rates
from agent.stats.snapshot import Collector, Snapshot


@dataclass(frozen=True, kw_only=True)
class Node:
    """What of the node the endpoints tell. ``logs`` is a stream of kind log; ``image_dir`` is on
    the images' filesystem; ``config`` is shown by /configz; ``measure`` gives disk usage."""

    name: str
    facts: Facts
    machine: Machine
    logs: Handler
    log_dir: Path
    data_dir: Path
    image_dir: Path
    measure: Measure
    config: Mapping[str, Any]


async def no_disks() -> Mapping[str, PodDisk]:
    """Where nobody measures."""
    return {}


def usage_handler(sync: PodSync, node: Node) -> Handler:
    """Streams of kind http."""
    parts = sync.parts
    collector = Collector(
        reader=CgroupReader(machine=node.machine),
        pods=parts.pods.all,
        containers=parts.containers.of,
        paths=parts.cgroups.pods,
        link=pod_link,
        root=parts.cgroups.root,
    )

    async def take() -> Snapshot:
        return await asyncio.to_thread(collector.take, collector.known())

    def own() -> Own:
        held = [parts.containers.of(pod_uid) for pod_uid in parts.containers.uids()]
        states = Counter(container.state for each in held for container in each)
        return Own(
            node_name=node.name,
            version=KUBELET_VERSION,
            cpus=node.facts.cpus,
            memory=node.facts.memory,
            desired_pods=len(parts.pods.all()),
            pods=sum(any(c.state == "running" for c in each) for each in held),
            containers=states,
        )

    kubelet = Kubelet(
        node_name=node.name,
        collector=collector,
        rates=Rates(take),
        disks=Disks(node.measure),
        logs=node.logs,
        log_dir=node.log_dir,
        data_dir=node.data_dir,
        image_dir=node.image_dir,
        own=own,
        probes=lambda: probe_families(parts.probes.totals()),
        config=lambda: node.config,
    )
    return http_handler(kubelet.endpoints())
