"""PodSync: makes the pods of this node what they are to be.

Every change (of a pod, a container, a probe, an object a pod names) queues a pod's uid; a worker
observes, plans (``plan.py``), applies, and hands on the status. Nothing polls. What takes long
runs beside the workers and queues the uid again at its end: pulls (``images.py``), volumes, stops,
the final clean-up. Containers are left running when this ends and are found again by label.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from agent.network import NetworkFailure, Sandbox
from agent.pods.actions import Actions
from agent.pods.admission import BY_NODE, admit
from agent.pods.backoff import restart_at
from agent.pods.decisions import PodActions
from agent.pods.departure import Departure
from agent.pods.etc import host_network
from agent.pods.ground import Ground
from agent.pods.launch import field_path
from agent.pods.memory import Memory
from agent.pods.mounts import MountError
from agent.pods.observe import observe
from agent.pods.parts import Parts
from agent.pods.plan import grace_seconds, past_deadline, plan_end, plan_pod
from agent.pods.references import references
from agent.pods.resize import PENDING
from agent.pods.resizing import Resizing
from agent.pods.restarts import restarts
from agent.pods.room import Room
from agent.pods.running import Running
from agent.pods.state import BOOT, Failure, SandboxError
from agent.pods.status import DEADLINE, DEADLINE_MESSAGE, make_status
from agent.runtime.runtime import RuntimeFailure, RuntimeUnavailable
from edgek.aio.outage import Outage
from edgek.aio.tasks import Tasks
from edgek.api.meta import (
    Obj,
    get_path,
    is_deleting,
    name,
    namespace,
    uid,
)
from edgek.api.time import format_time
from edgek.control.workqueue import WorkQueue
from edgek.kinds.pods import is_terminal

log = logging.getLogger(__name__)

T = TypeVar("T")
WORKERS = 8
MAX_RETRY = 60.0
RUNTIME_RETRY = 2.0


def new_queue() -> WorkQueue[str]:
    return WorkQueue(max_delay=MAX_RETRY)


class PodSync:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._ground = Ground(parts)
        self._running = Running(parts, self._ground)
        self._actions = Actions(parts, self._ground)
        self._resizing = Resizing(parts, self._ground)
        self._departure = Departure(parts, self._room_again)
        self._memory: dict[str, Memory] = {}
        self._room = Room(parts, self._memory, fail=self.fail)
        self._sandboxes: dict[str, Sandbox] = {}
        self._found: frozenset[str] = frozenset()
        self.gates: list[Callable[[Obj], Failure | None]] = []
        """Asked in turn about a pod that is new here, before it is held against what is free."""
        self.on_worked: Callable[[], None] = lambda: None
        """Told after each look at a pod."""

    async def run(self) -> None:
        """Until cancelled. The network must be set up."""
        async with Tasks("pods") as tasks:
            tasks.spawn(self._follow_exits(), name="exits")
            tasks.spawn(self.parts.writer.run(), name="status")
            await self._find()
            for number in range(WORKERS):
                tasks.spawn(self._work(), name=f"worker-{number}")
            await tasks.wait()

    async def _find(self) -> None:
        """What an earlier life of this agent left."""
        p = self.parts
        await self._insist("list of containers", p.containers.list)
        self._sandboxes = await self._insist("list of sandboxes", p.network.sandboxes)
        self._found = frozenset(c.id for u in p.containers.uids() for c in p.containers.of(u))
        left = await asyncio.to_thread(p.volumes.left_over)
        for pod_uid in {*p.containers.uids(), *self._sandboxes, *left, *p.cgroups.pods()}:
            p.queue.add(pod_uid)

    async def _insist(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        outage = Outage(log, what)
        while True:
            try:
                answer = await ask()
                outage.over()
                return answer
            except (RuntimeFailure, NetworkFailure) as err:
                outage.failed(err)
                await asyncio.sleep(RUNTIME_RETRY)

    async def _follow_exits(self) -> None:
        p = self.parts
        async for container_id in p.runtime.exits():
            try:
                if container_id:
                    p.queue.add(await p.containers.look(container_id))
                    continue
            except RuntimeFailure:
                log.debug("cannot inspect, listing all id=%s", container_id)
            await self._insist("list of containers", p.containers.list)
            self.look_at_all()

    def look_at_all(self) -> None:
        """Everything is looked at again: the engine came back, or the server named our pods."""
        p = self.parts
        for pod_uid in {*self._memory, *p.containers.uids(), *(uid(x) for x in p.pods.all())}:
            p.queue.add(pod_uid)

    async def look_for_lost_sandboxes(self) -> None:
        """The node's links have changed: pods whose own was taken away are made anew. Raises
        NetworkFailure."""
        held = [(u, m) for u, m in self._memory.items() if m.sandbox and m.sandbox.net != "host"]
        whole = await self.parts.network.sandboxes()
        for pod_uid, memory in held:
            if pod_uid not in whole and not memory.cleaning and not memory.released:
                log.warning("a pod has lost its network uid=%s", pod_uid)
                memory.sandbox, memory.sandbox_made = None, False
                self.parts.queue.add(pod_uid)

    def clock_set(self, by: timedelta) -> None:
        """The wall clock was: nobody waits for it longer, and tokens are of another time."""
        for memory in self._memory.values():
            memory.clock_set(by)
        self.parts.launcher.images.clock_set()
        self.parts.volumes.tokens.renew_all()
        self.look_at_all()

    def host_moved(self, node_ip: str) -> None:
        """The node has another address, and pods on its network with it."""
        self.parts.host.node_ip = node_ip
        for memory in self._memory.values():
            if memory.sandbox is not None and memory.sandbox.net == "host":
                memory.sandbox = replace(memory.sandbox, ip=node_ip)
        self.look_at_all()

    def fail(self, pod_uid: str, failure: Failure, *, grace_seconds: int | None = None) -> bool:
        """Ends a pod as Failed, also while no server answers; ``grace_seconds`` may only shorten
        its grace. False where there is no such pod, or it is over already."""
        pod = self.parts.pods.get(pod_uid)
        if pod is None or is_terminal(pod):
            return False
        memory = self._remember(pod_uid, pod)
        memory.failure = memory.failure or failure
        if grace_seconds is not None:
            memory.grace = min(grace_seconds, memory.grace or grace_seconds)
        self.parts.queue.add(pod_uid)
        return True

    def address(self, pod_uid: str) -> str:
        """What this node gave a pod, "" where it has none."""
        memory = self._memory.get(pod_uid)
        return memory.sandbox.ip if memory is not None and memory.sandbox is not None else ""

    def known(self) -> list[str]:
        """Uids of the pods that this node runs, or has not done away with yet."""
        return list(self._memory)

    async def ended(self, pod_uid: str) -> None:
        """Returns when nothing of the pod runs any more, after ``fail`` or a deletion."""
        memory = self._memory.get(pod_uid)
        if memory is not None:
            await memory.ended.wait()

    async def given_back(self, pod_uid: str) -> None:
        """Returns when a pod that has ended holds neither an address nor volumes any more."""
        memory = self._memory.get(pod_uid)
        if memory is not None:
            await memory.given_back.wait()

    async def _work(self) -> None:
        queue = self.parts.queue
        while True:
            pod_uid = await queue.get()
            try:
                if pod_uid:
                    await self._reconcile(pod_uid)
                queue.forget(pod_uid)
            except RuntimeUnavailable as err:  # its service's keeper tells of it
                log.debug("pod not synced uid=%s err=%s", pod_uid, err)
                queue.add_rate_limited(pod_uid)
            except (RuntimeFailure, NetworkFailure, MountError, OSError, SandboxError) as err:
                log.warning("pod not synced uid=%s err=%s", pod_uid, err)
                queue.add_rate_limited(pod_uid)
            except Exception:  # one bad pod must not stop the others
                log.exception("pod not synced uid=%s", pod_uid)
                queue.add_rate_limited(pod_uid)
            finally:
                queue.done(pod_uid)
                self.on_worked()

    # -- one look at one pod ---------------------------------------------------------------

    async def _reconcile(self, pod_uid: str) -> None:
        p = self.parts
        pod = p.pods.get(pod_uid)
        if pod is None:
            await self._leave(pod_uid)
            return
        memory = self._remember(pod_uid, pod)
        memory.retry_at = None
        if memory.removed:
            return
        asked, pod = pod, self._as_known(pod, memory)
        await self._admit(pod, memory)
        if self._resizing.consider(asked, memory, lambda: self._others(memory)):
            pod = self._as_known(asked, memory)
            self._room_again()
        await self._resizing.actuate(pod, memory)
        needed = set() if _over(pod, memory) else references(pod, p.sources.get)
        p.sources.use(pod_uid, needed)
        await self._running.read_messages(pod, memory)
        actions = await self._bring(pod, memory)
        self._resizing.settle(pod, memory)
        running = observe(self.parts, pod, memory).running()
        self._running.follow(pod, memory, (a for a in running if a.id not in memory.hooking))
        self._report(pod, memory)
        if actions.finished:
            memory.ended.set()
            self._departure.clean(pod, memory, remove=is_deleting(pod))
        self._again(pod_uid, memory, actions)

    def _as_known(self, pod: Obj, memory: Memory) -> Obj:
        """With the resources it was given, and its start, which the server may not have yet."""
        pod = self._resizing.given(pod, memory)
        status = pod.get("status") or {}
        if status.get("startTime"):
            return pod
        memory.start_time = memory.start_time or format_time(self.parts.clock.now())
        return {**pod, "status": {**status, "startTime": memory.start_time}}

    async def _bring(self, pod: Obj, memory: Memory) -> PodActions:
        """Plans and applies; twice where a sandbox had to be made first."""
        if memory.crowded and not (is_deleting(pod) or memory.failure):
            return PodActions()
        for _ in range(2):
            state = observe(self.parts, pod, memory)
            actions = plan_pod(pod, state, now=self.parts.clock.now())
            await self._actions.apply(pod, memory, actions)
            if not (actions.create_sandbox or actions.reset):
                break
            self._ground.balance(self._others(None))
        return actions

    def _remember(self, pod_uid: str, pod: Obj) -> Memory:
        if pod_uid not in self._memory:
            found = self.parts.containers.of(pod_uid)
            memory = self._memory[pod_uid] = Memory(
                sandbox=self._sandboxes.pop(pod_uid, None),
                adopted=frozenset(c.id for c in found) & self._found,
            )
            boot = self.parts.host.boot
            if host_network(pod) and any(c.labels.get(BOOT, boot) == boot for c in found):
                memory.sandbox = self._ground.host_sandbox(pod_uid)
        return self._memory[pod_uid]

    async def _admit(self, pod: Obj, memory: Memory) -> None:
        if memory.admitted:
            return
        memory.admitted = True
        if memory.failure or _over(pod, memory) or self.parts.containers.of(uid(pod)):
            return
        self._room.take(pod, self._others(memory))
        refusals = (gate(pod) for gate in self.gates)
        refused = next((found for found in refusals if found), None)
        refused = refused or await self._refused(pod, memory)
        if refused is not None:
            memory.failure = memory.failure or replace(refused, rejected=True)
            self.parts.events.warning(pod, refused.reason, refused.message)
            return
        self._room.wait(pod, memory, self._others(memory))

    async def _refused(self, pod: Obj, memory: Memory) -> Failure | None:
        host = self.parts.host
        found = admit(pod, self._others(memory), host)
        if found is None or found.reason not in BY_NODE:
            return found
        # The pod may have come before the change of the node that let it come.
        node = await self.parts.ask_node()
        return admit(pod, self._others(memory), replace(host, node=lambda: node))

    def _others(self, memory: Memory | None) -> list[Obj]:
        """The pods but that one that hold resources here, as they have been given them."""
        return [
            self._resizing.given(other, known) for other in self.parts.pods.all()
            if (known := self._memory.get(uid(other))) is not None
            and known is not memory and not known.released and known.admitted
            and not known.failure and not is_terminal(other)
        ]  # fmt: skip

    def _room_again(self) -> None:
        """Something was given back, or moved: resizes that wait are looked at again."""
        self._ground.balance(self._others(None))
        waiting = [
            pod for pod in self.parts.pods.all()
            if (known := self._memory.get(uid(pod))) is not None
            and known.resize.get(PENDING, {}).get("reason") == "Deferred"
        ]  # fmt: skip
        for pod in sorted(waiting, key=lambda pod: -get_path(pod, "spec", "priority", default=0)):
            self.parts.queue.add(uid(pod))

    def _report(self, pod: Obj, memory: Memory) -> None:
        if memory.released and (is_deleting(pod) or is_terminal(pod)):
            return  # its last status was told when it ended
        p, now = self.parts, self.parts.clock.now()
        state = observe(self.parts, pod, memory)
        status = make_status(pod, state, now=now, host_ip=p.host.node_ip)
        p.writer.put(p.pods.get(uid(pod)) or pod, status)
        if past_deadline(pod, now=now) and not is_terminal(pod) and DEADLINE not in memory.told:
            memory.told.add(DEADLINE)
            p.events.normal(pod, DEADLINE, DEADLINE_MESSAGE)
        for own, backoff in memory.backoffs.items():
            latest = state.latest(own)
            if latest is None or not latest.ended or latest.id in memory.told:
                continue
            if not restarts(pod, state, latest):
                continue
            if restart_at(backoff, ended_at=latest.ended_at, now=now) > now:
                memory.told.add(latest.id)
                text = f"Back-off restarting failed container {own} in pod {_full_name(pod)}"
                p.events.warning(pod, "BackOff", text, field_path=field_path(pod, own))

    def _again(self, pod_uid: str, memory: Memory, actions: PodActions) -> None:
        p = self.parts
        for moment in (actions.wait_until, memory.volume_retry_at):
            memory.retry(moment)
        if not memory.released:
            memory.retry(p.volumes.tokens.renew_at(pod_uid))
        if memory.retry_at is not None:
            delay = (memory.retry_at - p.clock.now()).total_seconds()
            p.queue.add_after(pod_uid, max(delay, 0.01))

    # -- the end ---------------------------------------------------------------------------

    async def _leave(self, pod_uid: str) -> None:
        """A pod that the API does not know (any more): everything of it goes."""
        p = self.parts
        if not p.pods.synced and pod_uid not in p.pods.removed:
            return
        pod = p.pods.removed.get(pod_uid) or self._departure.rebuilt(pod_uid)
        if not is_deleting(pod):
            now = format_time(p.clock.now() + timedelta(seconds=grace_seconds(pod)))
            pod = pod | {"metadata": pod["metadata"] | {"deletionTimestamp": now}}
        memory = self._remember(pod_uid, pod)
        p.sources.use(pod_uid, set())
        actions = plan_end(pod, observe(self.parts, pod, memory), now=p.clock.now())
        await self._actions.apply(pod, memory, actions)
        if not actions.finished:
            return
        memory.ended.set()
        if memory.removed:
            self._forget(pod_uid)
        else:
            self._departure.clean(pod, memory, remove=True)

    def _forget(self, pod_uid: str) -> None:
        p = self.parts
        p.pods.forget(pod_uid)
        p.writer.forget(pod_uid)
        p.launcher.forget(pod_uid)
        p.launcher.images.forget(pod_uid)
        with contextlib.suppress(KeyError):
            del self._memory[pod_uid]


def _over(pod: Obj, memory: Memory) -> bool:
    return is_terminal(pod) or (is_deleting(pod) and memory.released)


def _full_name(pod: Obj) -> str:
    return f"{name(pod)}_{namespace(pod)}({uid(pod)})"
