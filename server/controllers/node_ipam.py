"""Node IPAM: each node gets a network of its own for its pods, out of the cluster's.

As pkg/controller/nodeipam range_allocator: a /24 (IPv6: /64) is given once and for the node's
life. What is taken is read off the nodes themselves, so nothing is stored, and a deleted node's
network is free again by its absence.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from edgek.api.meta import Key, Obj, get_path, key_of, resource_version
from edgek.control.controller import DONE, Context, Mapped, Result, Watch
from edgek.kinds import NODE

Network = IPv4Network | IPv6Network

NODE_PREFIX = {4: 24, 6: 64}


def build(context: Context, *, cluster_cidr: str) -> "NodeIpam":
    return NodeIpam(context, ip_network(cluster_cidr))


def pod_cidr(node: Obj) -> str:
    return str(get_path(node, "spec", "podCIDR", default=""))


def plan_cidr(cluster: Network, taken: Iterable[str], *, after: int = -1) -> tuple[str, int] | None:
    """The next free network behind number ``after``, wrapping; None where all are taken.

    Going round keeps a network unused for as long as can be after its node was deleted, while
    other nodes may still have routes to it.
    """
    prefix = max(NODE_PREFIX[cluster.version], cluster.prefixlen)
    count = 1 << (prefix - cluster.prefixlen)
    size = 1 << (cluster.max_prefixlen - prefix)
    base = int(cluster.network_address)
    used = {_number(cluster, cidr, size) for cidr in taken}
    for step in range(1, count + 1):
        number = (after + step) % count
        if number not in used:
            address = type(cluster.network_address)(base + number * size)
            return f"{address}/{prefix}", number
    return None


def _number(cluster: Network, cidr: str, size: int) -> int:
    """-1 for a network of elsewhere: it takes nothing of ours."""
    try:
        offset = int(ip_network(cidr).network_address) - int(cluster.network_address)
    except ValueError:
        return -1
    return offset // size if offset >= 0 else -1


class NodeIpam:
    """Writes spec.podCIDR of nodes without one. A node that came with one keeps it, as the
    field is immutable; two nodes of one network are told to their users."""

    name = "nodeipam"
    kind = NODE

    def __init__(self, context: Context, cluster: Network) -> None:
        self._client = context.client
        self._events = context.events.source("cidrAllocator")
        self._cluster = cluster
        self._nodes = context.informers.get(NODE)
        self._given: dict[str, str] = {}
        self._last = -1
        self.watches: Sequence[Watch] = (Mapped(NODE, self._keys, when=_matters),)

    def _keys(self, node: Obj) -> list[Key]:
        """The node, and those that found no network left: it may have had the one they need."""
        waiting = [n for n in self._nodes.list() if not pod_cidr(n)]
        return [key_of(n) for n in (node, *waiting)]

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        if node is None:
            self._given.pop(key.name, None)
            return DONE
        if own := pod_cidr(node):
            self._given.pop(key.name, None)
            self._report_conflict(node, own)
            return DONE
        taken = {pod_cidr(n) for n in self._nodes.list()} | set(self._given.values())
        found = plan_cidr(self._cluster, taken - {""}, after=self._last)
        if found is None:
            message = f"Node {key.name} status is now: CIDRNotAvailable"
            self._events.normal(node, "CIDRNotAvailable", message)
            return DONE  # until a node goes
        cidr, self._last = found
        # Before the write: other nodes are worked on at the same time.
        self._given[key.name] = cidr
        try:
            await self._write(node, cidr)
        except BaseException:
            self._given.pop(key.name, None)
            raise
        return DONE

    async def _write(self, node: Obj, cidr: str) -> None:
        """NB: conditional, so that a network is never given to the node's successor."""
        body = {
            "metadata": {"resourceVersion": resource_version(node)},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        }
        await self._client.patch(NODE, Key("", node["metadata"]["name"]), body)

    def _report_conflict(self, node: Obj, own: str) -> None:
        others = [
            n["metadata"]["name"]
            for n in self._nodes.list()
            if pod_cidr(n) == own and n["metadata"]["name"] < node["metadata"]["name"]
        ]
        if others:
            message = f"podCIDR {own} is also that of node {others[0]}; delete one of them to mend"
            self._events.warning(node, "CIDRConflict", message)


def _matters(old: Obj | None, new: Obj | None) -> bool:
    return old is None or new is None or pod_cidr(old) != pod_cidr(new)
