"""What is known of a pod now, gathered from the runtime, the probes and memory for ``plan``."""

from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import grace_seconds
from agent.pods.state import PodState, group_attempts
from edgek.api.meta import Obj, uid


def observe(parts: Parts, pod: Obj, memory: Memory) -> PodState:
    p = parts
    grace = grace_seconds(pod, memory.grace)
    return PodState(
        attempts=group_attempts(p.containers.of(uid(pod)), memory.start_errors, memory.messages),
        sandbox=memory.sandbox is not None,
        pod_ip=memory.sandbox.ip if memory.sandbox else "",
        # A stop with a longer grace than the pod has now (a second delete) is asked again.
        stopping=frozenset(i for i, given in memory.stopping.items() if given <= grace),
        ready=p.probes.ready,
        started={**p.probes.started, **dict.fromkeys(memory.hooking, False)},
        unhealthy={**p.probes.unhealthy, **memory.hook_failed},
        backoffs=memory.backoffs,
        waiting=memory.waiting,
        failure=memory.failure,
        grace=memory.grace,
        ending=memory.ending[0] if memory.ending else None,
        must_restart=frozenset(memory.must_restart),
        resize_restart=frozenset(memory.resize_restart),
        hooking=frozenset(memory.hooking),
        pre_stopped=frozenset(memory.pre_stops),
        numbers=memory.numbers,
        resize=tuple(memory.resize.values()),
        actual=memory.actual,
        actual_pod=memory.actual_pod,
    )
