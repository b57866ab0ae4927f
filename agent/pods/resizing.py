"""Carries out resizes: gives a pod what it asks for where there is room, and changes what runs.

As pkg/kubelet/allocation and kuberuntime_manager.go doPodResizeAction. What a container was made
with is in its label, what it was changed to in the pod's status; so an agent that starts knows
both again. A deferred resize is looked at again when another pod has left or was made smaller.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from agent.pods.ground import Ground
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.resize import (
    IN_PROGRESS,
    PENDING,
    Allocation,
    bare,
    changed_kinds,
    desired,
    made_with,
    message,
    refusal,
    wants_restart,
    wider,
    with_allocation,
)
from agent.pods.resources import container_resources, pod_resources
from agent.pods.restarts import find_container
from agent.pods.state import ATTEMPT, CONTAINER_NAME
from agent.runtime.runtime import Container, RuntimeFailure, RuntimeUnavailable
from edgek.api.meta import Obj, generation, get_path, is_deleting, uid
from edgek.api.quantity import value
from edgek.kinds.pods import is_terminal

log = logging.getLogger(__name__)

RETRY = timedelta(seconds=10)


class NotPossible(Exception):
    """The change would do harm now."""


class Resizing:
    def __init__(self, parts: Parts, ground: Ground) -> None:
        self.parts = parts
        self._ground = ground

    def given(self, pod: Obj, memory: Memory) -> Obj:
        """The pod as if it asked for what it was given."""
        if memory.allocation is None:
            memory.allocation = self._recall(pod, memory)
        known = memory.given
        # Asked of each pod whenever another one comes.
        if known is None or known[0] is not pod or known[1] is not memory.allocation:
            made = with_allocation(pod, memory.allocation)
            known = memory.given = (pod, memory.allocation, made)
        return known[2]

    def _recall(self, pod: Obj, memory: Memory) -> Allocation:
        """What the containers of an earlier life run with; the spec's where none does."""
        asked = desired(pod)
        found = dict(asked.containers)
        for container in self.parts.containers.of(uid(pod)):
            own = container.labels.get(CONTAINER_NAME, "")
            if container.state == "running" and own in found:
                found[own] = memory.actual[container.id] = _has(pod, container)
        memory.actual_pod = asked.pod
        return Allocation(containers=found, pod=asked.pod)

    def consider(self, pod: Obj, memory: Memory, others: Callable[[], Iterable[Obj]]) -> bool:
        """Gives the pod what its spec asks for, if it asks for something else than it has and the
        node can. Whether anything was given. ``others`` as they have been given."""
        asked = desired(pod)
        if memory.allocation == asked or is_deleting(pod) or is_terminal(pod) or memory.failure:
            memory.resize.pop(PENDING, None)
            return False
        refused = refusal(pod, others(), self.parts.host.allocatable)
        now = {"status": "True", "observedGeneration": generation(pod)}
        if refused is not None:
            told = {"type": PENDING, "reason": refused.reason, "message": refused.message, **now}
            self._pend(pod, memory, told)
            return False
        memory.allocation = asked
        memory.resize.pop(PENDING, None)
        memory.resize[IN_PROGRESS] = {"type": IN_PROGRESS, **now}
        self._tell(pod, memory, "ResizeStarted", "Pod resize started")
        return True

    def _pend(self, pod: Obj, memory: Memory, told: Obj) -> None:
        if memory.resize.get(PENDING) != told:
            memory.resize[PENDING] = told
            reason = told["reason"]
            self._tell(
                pod, memory, f"Resize{reason}", f"Pod resize {reason}", error=told["message"]
            )

    def _tell(self, pod: Obj, memory: Memory, reason: str, text: str, *, error: str = "") -> None:
        send = self.parts.events.warning if error else self.parts.events.normal
        since = memory.resize.get(IN_PROGRESS, {}).get("observedGeneration")
        number = generation(pod) if reason != "ResizeCompleted" else since or generation(pod)
        send(pod, reason, message(text, pod, generation=number, error=error))

    async def actuate(self, pod: Obj, memory: Memory) -> None:
        """Brings running containers to what ``pod`` (as given) says, or has them restarted."""
        if memory.sandbox is None or is_deleting(pod) or is_terminal(pod) or memory.failure:
            return
        changes = []
        # A container with no limit of its own has the pod's.
        all_of_them = bare(get_path(pod, "spec", "resources")) != (memory.actual_pod or {})
        for container in self._running(pod):
            spec = find_container(pod, container.labels.get(CONTAINER_NAME, ""))
            kinds = changed_kinds(self._actual(memory, container), spec.get("resources") or {})
            if kinds and spec and wants_restart(spec, kinds):
                memory.resize_restart.add(container.id)
            elif spec and (kinds or all_of_them):
                changes.append((container, spec))
        if not changes and IN_PROGRESS not in memory.resize:
            return
        try:
            await self._change(pod, memory, changes)
        except RuntimeUnavailable:
            raise  # not this pod's trouble
        except (RuntimeFailure, NotPossible, OSError) as err:
            self._failed(pod, memory, str(err))

    def _failed(self, pod: Obj, memory: Memory, error: str) -> None:
        told = {
            "type": IN_PROGRESS, "status": "True", "reason": "Error", "message": error,
            "observedGeneration": generation(pod),
        }  # fmt: skip
        if memory.resize.get(IN_PROGRESS) != told:
            memory.resize[IN_PROGRESS] = told
            self._tell(pod, memory, "ResizeError", "Pod resize error", error=error)
        memory.retry(self.parts.clock.now() + RETRY)

    async def _change(self, pod: Obj, memory: Memory, changes: list[tuple[Container, Obj]]) -> None:
        p, whole = self.parts, pod_resources(pod, pids_limit=self.parts.host.pod_max_pids)
        for container, spec in changes:
            self._must_fit(pod, container, spec)
        self._ground.limit(pod, wider(whole, memory.pod_limits or whole))
        for container, spec in changes:
            wanted = container_resources(pod, spec, node_memory=p.host.memory)
            await p.runtime.update(container.id, wanted)
            memory.actual[container.id] = bare(spec.get("resources"))
        self._ground.limit(pod, whole)
        memory.pod_limits, memory.actual_pod = whole, bare(get_path(pod, "spec", "resources"))

    def _must_fit(self, pod: Obj, container: Container, spec: Obj) -> None:
        """As validateMemoryResizeAction: below what is in use, the kernel would have to kill."""
        limit = value(get_path(spec, "resources", "limits", "memory", default=0))
        usage = self._ground.memory_usage(pod, container.id)
        if limit and usage is not None and usage >= limit:
            raise NotPossible(
                f'attempting to set container "{spec["name"]}" memory limit ({limit}) '
                f"below current usage ({usage})"
            )

    def settle(self, pod: Obj, memory: Memory) -> None:
        """Ends a resize once everything that runs has what it was given."""
        alive = {c.id for c in self.parts.containers.of(uid(pod))}
        for container_id in memory.actual.keys() - alive:
            del memory.actual[container_id]
        if IN_PROGRESS not in memory.resize:
            return
        if is_deleting(pod) or is_terminal(pod) or memory.failure:
            memory.resize.clear()
            return
        for container in self._running(pod):
            spec = find_container(pod, container.labels.get(CONTAINER_NAME, ""))
            if changed_kinds(self._actual(memory, container), spec.get("resources") or {}):
                return
        self._tell(pod, memory, "ResizeCompleted", "Pod resize completed")
        del memory.resize[IN_PROGRESS]

    def _running(self, pod: Obj) -> list[Container]:
        return [c for c in self.parts.containers.of(uid(pod)) if c.state == "running"]

    @staticmethod
    def _actual(memory: Memory, container: Container) -> Obj:
        return memory.actual.get(container.id) or made_with(container)


def _has(pod: Obj, container: Container) -> Obj:
    """By the status, where that tells of the same attempt, else as it was made."""
    own, number = container.labels.get(CONTAINER_NAME), container.labels.get(ATTEMPT, "0")
    for which in ("containerStatuses", "initContainerStatuses"):
        for status in get_path(pod, "status", which, default=[]):
            same = status["name"] == own and str(status.get("restartCount") or 0) == number
            if same and status.get("resources"):
                return bare(status["resources"])
    return made_with(container)
