"""Lifecycle hooks: postStart beside a container's first moments, preStop before its TERM.

As pkg/kubelet/lifecycle/handlers.go and kuberuntime_container.go. Until postStart has ended its
container counts as not started; where it fails, the container is stopped and its restart policy
decides. preStop's time is taken from the pod's grace, and leaves a moment of it for the TERM.
A container found running by an agent that starts has had its postStart.
"""

import asyncio
import logging

from agent.pods.decisions import Stop
from agent.pods.http_get import HttpError, http_get, make_request
from agent.pods.launch import field_path
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import POST_START
from agent.pods.probe_attempt import Target
from agent.pods.restarts import find_container
from agent.runtime.runtime import RuntimeFailure
from edgek.api.meta import Obj, get_path, name, uid

log = logging.getLogger(__name__)

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
                self._tell(target, "FailedPostStartHook", "PostStartHook failed", problem)
                memory.hook_failed[target.container_id] = POST_START
        finally:
            memory.hooking.discard(target.container_id)
            self.parts.queue.add(uid(target.pod))

    def pre_stop(self, pod: Obj, memory: Memory, stop: Stop) -> "asyncio.Task[None] | None":
        """Begins preStop, once for a container; None where there is no such hook."""
        begun = memory.pre_stops.get(stop.container_id)
        container = find_container(pod, stop.name)
        hook = get_path(container, "lifecycle", "preStop")
        if begun is not None or not hook:
            return begun
        target = _target(pod, memory, container, stop.container_id)
        run = self._pre_stop(hook, target, stop.grace_seconds)
        task = self.parts.tasks.spawn(run, name=f"pre-stop/{stop.name}")
        memory.pre_stops[stop.container_id] = task
        return task

    async def _pre_stop(self, hook: Obj, target: Target, seconds: float) -> None:
        problem = await self._run(hook, target, seconds)
        if problem is not None:
            self._tell(target, "FailedPreStopHook", "PreStopHook failed", problem)

    async def before_stop(self, pod: Obj, memory: Memory, stop: Stop) -> int:
        """Waits for preStop, within the grace; what is left of that."""
        began = asyncio.get_running_loop().time()
        hook = None if stop.abrupt else self.pre_stop(pod, memory, stop)
        if hook is not None:
            await asyncio.wait({hook}, timeout=stop.grace_seconds)
        spent = int(asyncio.get_running_loop().time() - began)
        return max(stop.grace_seconds - spent, MIN_GRACE_AFTER)

    async def _run(self, hook: Obj, target: Target, seconds: float) -> str | None:
        """None where it succeeded, else what went wrong."""
        try:
            async with asyncio.timeout(seconds):
                if "sleep" in hook:
                    await asyncio.sleep(hook["sleep"].get("seconds") or 0)
                elif "httpGet" in hook:
                    action, ip = hook["httpGet"], target.pod_ip
                    container = target.container
                    # As upstream: any answer will do.
                    await http_get(make_request(action, container, pod_ip=ip, purpose="lifecycle"))
                elif "exec" in hook:
                    command = tuple(hook["exec"].get("command") or ())
                    runtime = self.parts.runtime
                    got = await runtime.exec(target.container_id, command, timeout=seconds)
                    return None if got.exit_code == 0 else f"exit code {got.exit_code}"
        except TimeoutError:
            return f"not done within {seconds:.0f}s"
        except (HttpError, OSError, RuntimeFailure, ValueError) as err:
            return str(err) or type(err).__name__
        return None

    def _tell(self, target: Target, reason: str, message: str, problem: str) -> None:
        """As upstream, which keeps what a hook said out of events."""
        log.info(
            "hook failed pod=%s container=%s hook=%s err=%s",
            name(target.pod), target.container["name"], reason, problem,
        )  # fmt: skip
        path = field_path(target.pod, target.container["name"])
        self.parts.events.warning(target.pod, reason, message, field_path=path)


def _target(pod: Obj, memory: Memory, container: Obj, container_id: str) -> Target:
    ip = memory.sandbox.ip if memory.sandbox else ""
    return Target(pod=pod, container=container, container_id=container_id, pod_ip=ip)
