"""What is done for containers while they run, and what they said when they ended.

Probes begin and end with their container; volumes made of API objects are brought up to date; a
termination message is read once.
"""

from collections.abc import Iterable

from agent.pods.ground import Ground
from agent.pods.memory import Memory
from agent.pods.observe import told_of
from agent.pods.parts import Parts
from agent.pods.probe_attempt import Target
from agent.pods.state import ATTEMPT, CONTAINER_NAME, Attempt
from agent.pods.termination import message_file, read_message
from edgek.api.meta import Obj, is_deleting, uid
from edgek.kinds.pods import all_containers, containers, init_containers


class Running:
    def __init__(self, parts: Parts, ground: Ground) -> None:
        self.parts = parts
        self._ground = ground

    def follow(self, pod: Obj, memory: Memory, running: Iterable[Attempt]) -> None:
        probes, by_id = self.parts.probes, {a.id: a for a in running}
        # Those of pods from before too: an earlier life of the agent made their volumes.
        if memory.prepared is not None or (by_id and not is_deleting(pod)):
            self._ground.volumes_ready(pod, memory)
        for container_id in probes.watched(uid(pod)):
            if container_id not in by_id:
                probes.forget(container_id)
        specs = {c["name"]: c for c in (*containers(pod), *init_containers(pod))}
        for attempt in by_id.values():
            if (container := specs.get(_name_of(attempt))) is not None:
                probes.watch(self._target(pod, memory, container, attempt))

    def _target(self, pod: Obj, memory: Memory, container: Obj, attempt: Attempt) -> Target:
        since = attempt.container.started_at
        told = told_of(pod, attempt.id)
        return Target(
            pod=pod,
            container=container,
            container_id=attempt.id,
            pod_ip=memory.sandbox.ip if memory.sandbox else "",
            age=(self.parts.clock.now() - since).total_seconds() if since else 0.0,
            adopted=attempt.id in memory.adopted,
            was_ready=bool(told.get("ready")),
            was_started=bool(told.get("started")),
        )

    async def read_messages(self, pod: Obj, memory: Memory) -> None:
        found = self.parts.containers.of(uid(pod))
        for container_id in memory.messages.keys() - {c.id for c in found}:
            del memory.messages[container_id]
        specs = {c["name"]: c for c in all_containers(pod)}
        pod_dir = self.parts.volumes.pod_dir(uid(pod))
        for ended in found:
            spec = specs.get(ended.labels.get(CONTAINER_NAME, ""))
            if ended.state != "exited" or spec is None or ended.id in memory.messages:
                continue
            file = message_file(pod_dir, spec["name"], ended.labels.get(ATTEMPT, "0"))
            memory.messages[ended.id] = await read_message(file, spec, ended)


def _name_of(attempt: Attempt) -> str:
    return attempt.container.labels.get(CONTAINER_NAME, "")
