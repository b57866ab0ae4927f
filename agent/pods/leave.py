"""Leaving: everything that pods have on this node goes, whatever state it is in.

For ``edgek uninstall``, with no server needed and no agent running. Every step is tried though an
earlier one failed; what failed is returned as sentences.
"""

import asyncio
import shutil
from collections.abc import Awaitable
from pathlib import Path

from agent.network import Network, NetworkFailure
from agent.pods.container_spec import pod_log_dir
from agent.pods.isolation import Holders
from agent.pods.mounts import MountError, remove_tree
from agent.pods.state import GRACE, POD_NAME, POD_NAMESPACE, POD_UID
from agent.runtime.cgroups import Cgroups
from agent.runtime.runtime import Container, Runtime, RuntimeFailure

MAX_GRACE = 10


async def leave(
    *,
    runtime: Runtime,
    network: Network,
    cgroups: Cgroups,
    holders: Holders,
    pod_root: Path,
    log_root: Path,
) -> list[str]:
    problems: list[str] = []

    async def step(what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (RuntimeFailure, NetworkFailure, MountError, OSError) as err:
            problems.append(f"{what}: {err}")

    await step("containers", _remove_containers(runtime, log_root))
    await step("processes", asyncio.to_thread(_stop_holders, holders))
    await step("network", network.teardown())
    await step("volumes", remove_tree(pod_root))
    await step("shares", remove_tree(pod_root.parent / "shares"))
    await step("cgroups", _remove_cgroups(cgroups))
    return problems


def _stop_holders(holders: Holders) -> None:
    for pod_uid in holders.known():
        holders.stop(pod_uid)


async def _remove_containers(runtime: Runtime, log_root: Path) -> None:
    found = await runtime.containers()
    await asyncio.gather(*(_remove(runtime, c, log_root) for c in found))


async def _remove(runtime: Runtime, container: Container, log_root: Path) -> None:
    own = container.labels
    grace = min(int(own.get(GRACE) or MAX_GRACE), MAX_GRACE)
    await runtime.stop(container.id, grace_seconds=grace)
    await runtime.remove(container.id)
    names = {"name": own.get(POD_NAME, ""), "namespace": own.get(POD_NAMESPACE, "")}
    logs = pod_log_dir(log_root, {"metadata": names | {"uid": own[POD_UID]}})
    await asyncio.to_thread(shutil.rmtree, logs, ignore_errors=True)


async def _remove_cgroups(cgroups: Cgroups) -> None:
    """Those of pods, then the classes, then the root."""
    root = cgroups.root
    for path in (*cgroups.pods().values(), root):
        if not await cgroups.remove(path):
            raise OSError(f"a process is left in cgroup {path}")
