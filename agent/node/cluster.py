"""The cluster's networks and DNS, as the server tells them: ConfigMap kube-system/edgek-cluster.

Asked for once after joining and kept in the checkpoint, so that a node which reboots with the
server gone has the same network. A Node that is deleted and made anew may be given another
podCIDR: ``CidrWatch`` notices.
"""

import asyncio
import logging
import random
from dataclasses import dataclass

from agent.node.checkpoint import Checkpoint
from edgek.aio.outage import Outage
from edgek.api.errors import ApiError, NotFound
from edgek.api.meta import Key, Obj, get_path
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP, NODE

log = logging.getLogger(__name__)

KEY = Key("kube-system", "edgek-cluster")
FIRST_DELAY, MAX_DELAY = 0.1, 30.0
PATIENCE = 2.0
"""While pauses are below it, what is not there yet is no reason to worry anyone."""
CIDR_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    cluster_cidr: str
    service_cidr: str
    cluster_dns: str
    cluster_domain: str
    pod_cidr: str


def read_cluster(config: Obj, node: Obj) -> Cluster | None:
    """None while the server has not said all of it."""
    data = config.get("data") or {}
    pod_cidr = get_path(node, "spec", "podCIDR", default="")
    wanted = ("clusterCIDR", "serviceCIDR", "clusterDNS")
    if not pod_cidr or not all(data.get(k) for k in wanted):
        return None
    return Cluster(
        cluster_cidr=data["clusterCIDR"],
        service_cidr=data["serviceCIDR"],
        cluster_dns=data["clusterDNS"],
        cluster_domain=data.get("clusterDomain") or "cluster.local",
        pod_cidr=pod_cidr,
    )


def _config_of(cluster: Cluster) -> Obj:
    """The ConfigMap that says this of a cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "data": {
            "clusterCIDR": cluster.cluster_cidr,
            "serviceCIDR": cluster.service_cidr,
            "clusterDNS": cluster.cluster_dns,
            "clusterDomain": cluster.cluster_domain,
        },
    }


async def learn_cluster(client: Client, node_name: str, checkpoint: Checkpoint) -> Cluster:
    """From the checkpoint where it has it, else from the server, waiting for it to decide."""
    remembered = checkpoint.load("cluster")
    if len(remembered) == 2 and (known := read_cluster(remembered[0], remembered[1])):
        return known
    delay = FIRST_DELAY
    outage = Outage(log, "reading the cluster's values")
    while True:
        try:
            config = await client.get(CONFIG_MAP, KEY)
            node = await _with_cidr(client, node_name)
            if cluster := read_cluster(config, node):
                await checkpoint.write("cluster", [config, node])
                outage.over()
                return cluster
            outage.failed(f"configmap {KEY} lacks values")
        except TimeoutError:
            outage.failed("the server has given this node no podCIDR yet")
        except ApiError as err:
            # Our Node is made beside this, and a new cluster's ConfigMap may come after us.
            early = isinstance(err, NotFound) and delay < PATIENCE
            outage.failed(err, known=early)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))
        delay = min(delay * 2, MAX_DELAY)


async def _with_cidr(client: Client, node_name: str) -> Obj:
    """Our Node once a controller has given it a podCIDR."""
    node = await client.get(NODE, Key("", node_name))
    if get_path(node, "spec", "podCIDR"):
        return node
    async with (
        asyncio.timeout(CIDR_SECONDS),
        client.watch(
            NODE,
            field_selector=f"metadata.name={node_name}",
            resource_version=node["metadata"].get("resourceVersion", ""),
        ) as events,
    ):
        async for event in events:
            if event.type != "BOOKMARK" and get_path(event.obj, "spec", "podCIDR"):
                return event.obj
    return node


class CidrWatch:
    """Our Node as the informer shows it, held against the podCIDR in use."""

    def __init__(self, node_name: str, cluster: Cluster, checkpoint: Checkpoint) -> None:
        self._node_name, self._cluster, self._checkpoint = node_name, cluster, checkpoint
        self._moved: asyncio.Event = asyncio.Event()
        self._node: Obj = {}

    def on_change(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler."""
        if new is None or new["metadata"]["name"] != self._node_name:
            return
        found = get_path(new, "spec", "podCIDR", default="")
        if found and found != self._cluster.pod_cidr:
            self._node = new
            self._moved.set()

    async def moved(self) -> None:
        """Returns once the node has another podCIDR, which the next start then finds."""
        await self._moved.wait()
        log.warning(
            "the node was given another podCIDR, starting over: pods get new addresses "
            "old=%s new=%s", self._cluster.pod_cidr, self._node["spec"]["podCIDR"],
        )  # fmt: skip
        await self._checkpoint.write("cluster", [_config_of(self._cluster), self._node])
