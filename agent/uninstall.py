"""Taking away all that an agent made on this machine, for ``edgek uninstall``."""

import asyncio

from agent.config import AgentConfig
from agent.csi.places import remove_leftovers
from agent.network.kernel import NetplugNetwork
from agent.pods.leave import leave
from agent.runtime.cgroups import Cgroups
from agent.runtime.machine import look_at_machine
from agent.runtime.pid_holder import PidHolders
from agent.runtime.podman import PodmanRuntime
from agent.runtime.runtime import RuntimeFailure
from agent.runtime.service import PodmanService
from edgek.roles import StartError


async def clean_up(config: AgentConfig) -> list[str]:
    """Takes away all that an agent made on this machine but its data directory; for
    ``edgek uninstall``, while no agent runs. Gives back what could not be done."""
    machine = look_at_machine()
    pod_root = config.pod_root
    service = PodmanService(
        machine,
        run_dir=config.run_dir,
        data_dir=config.home,
        shared=(pod_root, config.kubelet_dir),
        cgroup_root=config.cgroup_root,
    )
    problems = []
    try:
        await service.start()
    except (StartError, RuntimeFailure, OSError) as err:  # network and the rest go all the same
        problems.append(f"podman: {err}")
    runtime = PodmanRuntime(service.socket, machine=machine, boot=service.boot, enter=service.enter)
    network = NetplugNetwork()
    try:
        return problems + await leave(
            runtime=runtime,
            network=network,
            cgroups=Cgroups(machine=machine, root=config.cgroup_root),
            holders=PidHolders(config.run_dir / "holders"),
            pod_root=pod_root,
            log_root=config.log_dir,
        )
    finally:
        await network.close()
        await runtime.close()
        await service.stop()
        await service.teardown()
        await asyncio.to_thread(remove_leftovers, config.kubelet_dir)
