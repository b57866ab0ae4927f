"""What the server may ask of this node through the tunnel, put together from what the agent has.

One handler for each kind of stream; those of kind http are the kubelet's endpoints
(agent/api/kubelet.py).
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.api.dial import dial_handler
from agent.api.http import http_handler
from agent.api.kubelet import Kubelet
from agent.api.log import log_handler
from agent.api.port_forward import port_forward_handler
from agent.api.session import attach_handler, exec_handler
from agent.api.stream import Handler
from agent.config import AgentConfig
from agent.network import Network
from agent.network.translate import pod_link
from agent.node.facts import KUBELET_VERSION, Facts
from agent.pods.probe_metrics import probe_families
from agent.pods.sync import PodSync
from agent.runtime.machine import Machine
from agent.runtime.runtime import Runtime
from agent.stats.cgroups import CgroupReader
from agent.stats.disk import Disks, Measure
from agent.stats.own_metrics import Own
from agent.stats.rates import Rates
from agent.stats.snapshot import Collector, Snapshot
from edgek.aio.clock import Clock

IMAGES = Path("/var/lib/containers")
"""The system's own storage, which the agent's Podman uses too."""


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
        "http": http_handler(_kubelet(node, logs).endpoints()),
    }


def _kubelet(node: Node, logs: Handler) -> Kubelet:
    parts, config = node.sync.parts, node.config
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
            node_name=config.node_name,
            version=KUBELET_VERSION,
            cpus=node.facts.cpus,
            memory=node.facts.memory,
            desired_pods=len(parts.pods.all()),
            pods=sum(any(c.state == "running" for c in each) for each in held),
            containers=states,
        )

    return Kubelet(
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
