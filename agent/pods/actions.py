"""Carries out what ``plan`` decided for a pod: stops, removals, the sandbox, starts.

What takes long runs in a task of its own and queues the pod again at its end.
"""

import asyncio
import logging

from agent.pods.backoff import grown
from agent.pods.ground import Ground
from agent.pods.hooks import Hooks
from agent.pods.launch import Launched, field_path
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import PodActions, Start, Stop
from agent.pods.state import Waiting
from agent.runtime.runtime import RuntimeFailure, RuntimeUnavailable
from edgek.api.meta import Obj, uid
from edgek.kinds.pods import containers, init_containers

log = logging.getLogger(__name__)

STOP_RETRY = 2.0


class Actions:
    def __init__(self, parts: Parts, ground: Ground) -> None:
        self.parts = parts
        self._ground = ground
        self._hooks = Hooks(parts)

    async def apply(self, pod: Obj, memory: Memory, actions: PodActions) -> None:
        p = self.parts
        for stop in actions.stop:
            self.stop(pod, memory, stop)
        for container_id in actions.remove:
            await p.runtime.remove(container_id)
            p.containers.drop(container_id)
            memory.start_errors.pop(container_id, None)
        if actions.create_sandbox:
            self._ground.volumes_ready(pod, memory)
            await self._ground.create_sandbox(pod, memory)
        if actions.start and self._ground.volumes_ready(pod, memory):
            for start in actions.start:
                await self._start(pod, memory, start)

    def stop(self, pod: Obj, memory: Memory, stop: Stop) -> None:
        p = self.parts
        text = stop.why or f"Stopping container {stop.name}"
        if stop.container_id not in memory.stopping:
            p.events.normal(pod, "Killing", text, field_path=field_path(pod, stop.name))
        memory.stopping[stop.container_id] = stop.grace_seconds
        p.tasks.spawn(self._run_stop(pod, memory, stop), name=f"stop/{stop.name}")

    async def _run_stop(self, pod: Obj, memory: Memory, stop: Stop) -> None:
        p = self.parts
        try:
            grace = await self._hooks.before_stop(pod, memory, stop)
            await p.runtime.stop(stop.container_id, grace_seconds=grace)
            await p.containers.look(stop.container_id)
        except RuntimeFailure as err:
            level = logging.DEBUG if isinstance(err, RuntimeUnavailable) else logging.WARNING
            log.log(level, "container not stopped id=%s err=%s", stop.container_id, err)
            await asyncio.sleep(STOP_RETRY)
        finally:
            if memory.stopping.get(stop.container_id) == stop.grace_seconds:
                del memory.stopping[stop.container_id]
            p.queue.add(uid(pod))

    async def _start(self, pod: Obj, memory: Memory, start: Start) -> None:
        p = self.parts
        every = (*init_containers(pod), *containers(pod))
        container = next(c for c in every if c["name"] == start.name)
        launched = await p.launcher.launch(
            pod,
            container,
            start,
            around=self._ground.around(pod, memory),
            place=lambda: self._ground.place(pod, memory),
        )
        self._note(memory, start, launched)
        if launched.container_id and not launched.start_error:
            self._hooks.started(pod, memory, container, launched.container_id)

    def _note(self, memory: Memory, start: Start, launched: Launched) -> None:
        own, now = start.name, self.parts.clock.now()
        if launched.not_there is not None:
            memory.waiting[own] = launched.not_there.waiting
            memory.retry(launched.not_there.retry_at)
            return
        memory.waiting.pop(own, None)
        ended_at = (start.after.ended_at if start.after else None) or now
        if launched.start_error:
            memory.start_errors[launched.container_id] = launched.start_error
            message = launched.start_error
            memory.waiting[own] = Waiting(reason="RunContainerError", message=message)
        if start.after is not None or launched.start_error:
            memory.backoffs[own] = grown(memory.backoffs.get(own), ended_at=ended_at, now=now)
        if launched.start_error:  # no exit will call: plan again, for the back-off's end
            memory.retry(now)
