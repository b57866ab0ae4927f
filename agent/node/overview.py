"""What ``edgek node status`` tells: how this node is, from what the agent knows without asking."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.node.checkpoint import Checkpoint
from agent.node.identity import IdentityStore
from agent.node.lease import NodeLease
from edgek import __version__
from edgek.api.meta import Obj, get_path
from edgek.api.time import format_time


@dataclass(frozen=True, kw_only=True)
class Overview:
    """``node`` gives our Node as last heard of, ``problems`` why it is not ready;
    ``shortcomings`` are what the machine does not offer."""

    node_name: str
    address: str
    server: str
    data_dir: Path
    lease: NodeLease
    checkpoint: Checkpoint
    node: Callable[[], Obj | None]
    problems: Callable[[], list[str]]
    pods: Callable[[], int]
    shortcomings: Sequence[str] = ()

    async def read(self) -> Obj:
        identity = IdentityStore(self.data_dir).load(self.node_name)
        since = self.lease.since
        return {
            "node": self.node_name,
            "address": self.address,
            "version": __version__,
            "server": {
                "url": self.server,
                "reachable": bool(self.lease.reachable),
                "since": format_time(since) if since else "",
            },
            "certificateExpires": format_time(identity.not_after) if identity else "",
            "checkpoint": self.checkpoint.describe(),
            "pods": self.pods(),
            "conditions": get_path(self.node() or {}, "status", "conditions", default=[]),
            "problems": self.problems(),
            "shortcomings": list(self.shortcomings),
        }
