"""Carries out what ``plan`` decided for a pod: stops, removals, the sandbox, starts.

What takes long runs in a task of its own and queues the pod again at its end.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from agent.pods.admission import is_static
from agent.pods.backoff import grown
from agent.pods.decisions import PodActions, Start, Stop
from agent.pods.ground import Ground
from agent.pods.hooks import Hooks
from agent.pods.launch import Launched, field_path
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import changed, grace_seconds
from agent.pods.restarts import find_container
from agent.pods.state import ATTEMPT, CONTAINER_NAME, Backoff, Waiting
from agent.pods.volumes.daemons import abandon
from agent.runtime.runtime import RuntimeFailure, RuntimeUnavailable
from edgek.api.meta import Obj, is_deleting, uid
from edgek.kinds.pods import is_sidecar

log = logging.getLogger(__name__)

STOP_RETRY = 2.0
SERVICES_RETRY = timedelta(seconds=0.2)


class Actions:
    def __init__(self, parts: Parts, ground: Ground) -> None:
        self.parts = parts
        self._ground = ground
        self._hooks = Hooks(parts)

    async def apply(self, pod: Obj, memory: Memory, actions: PodActions) -> None:
        if actions.ending:
            self._note_ending(pod, memory)
        for stop in actions.pre_stop:
            self._hooks.pre_stop(pod, memory, stop)
        for stop in actions.stop:
            self.stop(pod, memory, stop)
        await self._remove(pod, memory, actions)
        if actions.create_sandbox:
            self._ground.volumes_ready(pod, memory)
            await self._ground.create_sandbox(pod, memory)
        if actions.start:
            self.parts.launcher.tell_of_missing_secrets(pod)
        if actions.start and await self._ground.ready(pod, memory) and self._known(pod, memory):
            for start in actions.start:
                if await self._start(pod, memory, start) in memory.hooking:
                    break  # the next one waits for its postStart

    def _known(self, pod: Obj, memory: Memory) -> bool:
        """Variables that tell of services are made once: a pod that a server has named waits for
        the services of that server. As makeEnvironmentVariables."""
        p = self.parts
        if p.host.services_known() or is_static(pod) or not p.pods.synced:
            return True
        memory.retry(p.clock.now() + SERVICES_RETRY)
        return False

    async def _remove(self, pod: Obj, memory: Memory, actions: PodActions) -> None:
        p = self.parts
        if actions.reset:
            self._note_reset(pod, memory, actions.reset)
        for container_id in actions.remove:
            await p.runtime.remove(container_id)
            p.containers.drop(container_id)
            memory.forget(container_id)
        if actions.remove and actions.create_sandbox:
            text = "Pod sandbox changed, it will be killed and re-created."
            p.events.normal(pod, "SandboxChanged", text)

    def _note_ending(self, pod: Obj, memory: Memory) -> None:
        """The grace is counted from when the end began, or was asked for with a shorter one."""
        grace = grace_seconds(pod, memory.grace)
        if memory.ending is None or grace < memory.ending[1]:
            memory.ending = (self.parts.clock.now(), grace)

    def _note_reset(self, pod: Obj, memory: Memory, names: tuple[str, ...]) -> None:
        """Before everything is removed: what must not be forgotten by it."""
        now = self.parts.clock.now()
        for found in self.parts.containers.of(uid(pod)):
            own, number = found.labels.get(CONTAINER_NAME, ""), int(found.labels.get(ATTEMPT, 0))
            memory.numbers[own] = max(memory.numbers.get(own, 0), number + 1)
            if own in names and found.finished_at is not None:
                backoff = memory.backoffs.get(own)
                memory.backoffs[own] = self._grown(backoff, ended_at=found.finished_at, now=now)

    def stop(self, pod: Obj, memory: Memory, stop: Stop) -> None:
        p = self.parts
        text = stop.why or f"Stopping container {stop.name}"
        if stop.container_id not in memory.stopping:
            p.events.normal(pod, "Killing", text, field_path=field_path(pod, stop.name))
        memory.stopping[stop.container_id] = stop.grace_seconds
        memory.resize_restart.discard(stop.container_id)
        if stop.restart:
            memory.must_restart.add(stop.container_id)
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
            if is_deleting(pod) and not isinstance(err, RuntimeUnavailable):
                abandon(p.cgroups, uid(pod))  # it may wait for a file server that is gone
            await asyncio.sleep(STOP_RETRY)
        finally:
            if memory.stopping.get(stop.container_id) == stop.grace_seconds:
                del memory.stopping[stop.container_id]
            p.queue.add(uid(pod))

    async def _start(self, pod: Obj, memory: Memory, start: Start) -> str:
        """The new container's id, "" where there is none."""
        p = self.parts
        container = find_container(pod, start.name)
        launched = await p.launcher.launch(
            pod,
            container,
            start,
            around=self._ground.around(pod, memory),
            place=lambda: self._ground.place(pod, memory, container),
        )
        self._note(memory, container, start, launched)
        if launched.container_id and not launched.start_error:
            if is_sidecar(container):  # what comes after it waits for nothing else
                p.queue.add(uid(pod))
            self._hooks.started(pod, memory, container, launched.container_id)
        return launched.container_id

    def _grown(self, backoff: Backoff | None, *, ended_at: datetime, now: datetime) -> Backoff:
        return grown(backoff, ended_at=ended_at, now=now, most=self.parts.host.max_backoff)

    def _note(self, memory: Memory, container: Obj, start: Start, launched: Launched) -> None:
        own, now = start.name, self.parts.clock.now()
        if launched.not_there is not None:
            memory.waiting[own] = launched.not_there.waiting
            if launched.not_there.waiting.reason.startswith("CreateContainer"):
                memory.doubt_at = launched.not_there.retry_at
            memory.retry(launched.not_there.retry_at)
            return
        memory.waiting.pop(own, None)
        ended_at = (start.after.ended_at if start.after else None) or now
        if launched.start_error:
            memory.start_errors[launched.container_id] = launched.start_error
            memory.doubt_at = now
            message = launched.start_error
            memory.waiting[own] = Waiting(reason="RunContainerError", message=message)
        if start.after is not None and changed(container, start.after):
            memory.backoffs.pop(own, None)  # another image is another story
        elif start.after is not None or launched.start_error:
            memory.backoffs[own] = self._grown(memory.backoffs.get(own), ended_at=ended_at, now=now)
        if launched.start_error:  # no exit will call: plan again, for the back-off's end
            memory.retry(now)
