"""NodePorts: two pods of one node cannot have the same host port."""

from collections.abc import Iterable

from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Reasons
from server.scheduler.pod_info import HostPort, PodInfo

REASON = ("node(s) didn't have free ports for the requested pod ports",)
ANY = "0.0.0.0"


def clashes(wanted: HostPort, taken: Iterable[HostPort]) -> bool:
    """0.0.0.0 clashes with every address of the same protocol and port."""
    return any(
        (t.protocol, t.port) == (wanted.protocol, wanted.port)
        and (t.ip == wanted.ip or ANY in (t.ip, wanted.ip))
        for t in taken
    )


def check_ports(pod: PodInfo) -> Check | None:
    if not pod.ports:
        return None

    def check(node: NodeInfo) -> Reasons:
        taken = node.ports
        return REASON if taken and any(clashes(p, taken) for p in pod.ports) else PASS

    return check
