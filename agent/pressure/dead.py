"""Dead containers take disk: attempts that a newer one has followed, and all of pods that are
over. As kuberuntime_gc.go evictContainers: the latest attempt stays, for its logs and its status.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from agent.pods.state import group_attempts
from agent.pods.store import Containers, Pods
from agent.runtime.runtime import Container, Runtime, RuntimeFailure
from edgek.kinds.pods import is_terminal

log = logging.getLogger(__name__)


def plan_dead(containers: Iterable[Container], *, over: bool) -> list[Container]:
    """Of one pod's containers those that may go. ``over``: the pod has ended for good. Pure."""
    found = []
    for attempts in group_attempts(containers, {}).values():
        older = attempts if over else attempts[1:]
        found += [a.container for a in older if a.container.state == "exited"]
    return found


async def remove_dead(runtime: Runtime, containers: Containers, pods: Pods) -> int:
    """How many went; with each but a latest one goes its log."""
    gone = 0
    for pod_uid in containers.uids():
        pod = pods.get(pod_uid)
        if pod is None:
            continue  # being cleaned up
        over = is_terminal(pod)
        for container in plan_dead(containers.of(pod_uid), over=over):
            try:
                await runtime.remove(container.id)
            except RuntimeFailure as err:
                log.debug("dead container not removed id=%s err=%s", container.id, err)
                continue
            containers.drop(container.id)
            if container.log_path and not over:
                await asyncio.to_thread(_remove_log, Path(container.log_path))
            gone += 1
    return gone


def _remove_log(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
