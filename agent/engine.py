"""The engine: Podman's service and the runtime that speaks to it, the first to come up."""

from contextlib import AsyncExitStack

from agent.config import AgentConfig
from agent.runtime.log_keeper import LogLimits
from agent.runtime.machine import Machine
from agent.runtime.podman import PodmanRuntime
from agent.runtime.runtime import RuntimeFailure
from agent.runtime.service import PodmanService
from edgek.aio.tasks import Tasks
from edgek.roles import StartError


async def start_podman(
    config: AgentConfig, machine: Machine, *, stack: AsyncExitStack, tasks: Tasks
) -> tuple[PodmanService, PodmanRuntime]:
    """``stack`` closes both, in the order that they need; ``tasks`` watch the service."""
    service = PodmanService(
        machine,
        run_dir=config.run_dir,
        data_dir=config.home,
        shared=(config.pod_root, config.kubelet_dir),
        cgroup_root=config.cgroup_root,
    )
    await service.start()
    stack.push_async_callback(service.stop)
    runtime = PodmanRuntime(
        service.socket,
        machine=machine,
        boot=service.boot,
        enter=service.enter,
        handlers=service.for_handlers(),
        activity=service.activity,
        log_limits=LogLimits(max_bytes=config.log_max_bytes, max_files=config.log_max_files),
    )
    stack.push_async_callback(runtime.close)
    service.on_back = runtime.came_back
    tasks.spawn(service.run(), name="podman")
    return service, runtime


async def version_of(runtime: PodmanRuntime) -> str:
    """Raises StartError where Podman does not answer."""
    try:
        return (await runtime.version()).version
    except RuntimeFailure as err:
        raise StartError(f"podman does not answer: {err}") from err
