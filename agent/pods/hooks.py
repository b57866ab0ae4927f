"""Lifecycle hooks: postStart beside a container's first moments, preStop before its TERM.

As pkg/kubelet/lifecycle/handlers.go and kuberuntime_container.go. Until postStart has ended its
container counts as not started; where it fails, the container is stopped and its restart policy
decides. preStop's time is taken from the pod's grace, and leaves a moment of it for the TERM.
A container found running by an agent that starts has had its postStart.
"""

import asyncio

from agent.pods.launch import field_path
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import Stop
from agent.pods.probes import Target, http_get
from agent.runtime.runtime import RuntimeFailure
from edgek.api.meta import Obj, get_path, uid
from edgek.kinds.pods import containers, init_containers

POST_START_SECONDS = 600.0
"""The kubelet sets no limit; something must end in the end."""
MIN_GRACE_AFTER = 2
"""As minimumGracePeriodInSeconds."""


class Hooks:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def started(self, pod: Obj, memory: Memory, container: Obj, container_id: str) -> None:
        """Runs postStart in a task of its own, where there is one."""
        hook = get_path(container, "lifecycle", "postStart")
        if hook:
            memory.hooking.add(container_id)
            target = _target(pod, memory, container, container_id)
            run = self._post_start(hook, memory, target)
            self.parts.tasks.spawn(run, name=f"post-start/{container['name']}")

    async def _post_start(self, hook: Obj, memory: Memory, target: Target) -> None:
        try:
            problem = await self._run(hook, target, POST_START_SECONDS)
            if problem is not None:
                self._tell(target, "FailedPostStartHook", f"PostStartHook failed: {problem}")
                memory.hook_failed[target.container_id] = "PostStartHook"
        finally:
            memory.hooking.discard(target.container_id)
            self.parts.queue.add(uid(target.pod))

    async def before_stop(self, pod: Obj, memory: Memory, stop: Stop) -> int:
        """Runs preStop, once for a container; the grace that is left."""
        every = (*containers(pod), *init_containers(pod))
        container = next((c for c in every if c["name"] == stop.name), {})
        hook = get_path(container, "lifecycle", "preStop")
        if not hook or stop.container_id in memory.pre_stopped:
            return stop.grace_seconds
        memory.pre_stopped.add(stop.container_id)
        began = asyncio.get_running_loop().time()
        target = _target(pod, memory, container, stop.container_id)
        problem = await self._run(hook, target, stop.grace_seconds)
        if problem is not None:
            self._tell(target, "FailedPreStopHook", f"PreStopHook failed: {problem}")
        spent = int(asyncio.get_running_loop().time() - began)
        return max(stop.grace_seconds - spent, MIN_GRACE_AFTER)

    async def _run(self, hook: Obj, target: Target, seconds: float) -> str | None:
        """None where it succeeded, else what went wrong."""
        try:
            async with asyncio.timeout(seconds):
                if "sleep" in hook:
                    await asyncio.sleep(hook["sleep"].get("seconds") or 0)
                elif "httpGet" in hook:
                    return await http_get(hook["httpGet"], target)
                elif "exec" in hook:
                    command = tuple(hook["exec"].get("command") or ())
                    runtime = self.parts.runtime
                    got = await runtime.exec(target.container_id, command, timeout=seconds)
                    return None if got.exit_code == 0 else f"exit code {got.exit_code}"
        except TimeoutError:
            return f"not done within {seconds:.0f}s"
        except (OSError, RuntimeFailure, ValueError, EOFError) as err:
            return str(err) or type(err).__name__
        return None

    def _tell(self, target: Target, reason: str, message: str) -> None:
        path = field_path(target.pod, target.container["name"])
        self.parts.events.warning(target.pod, reason, message, field_path=path)


def _target(pod: Obj, memory: Memory, container: Obj, container_id: str) -> Target:
    ip = memory.sandbox.ip if memory.sandbox else ""
    return Target(pod=pod, container=container, container_id=container_id, pod_ip=ip)
