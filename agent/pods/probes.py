"""Probes: one timer each, while their container runs; results are read by ``sync``.

As pkg/kubelet/prober: readiness starts out false, liveness true; liveness and readiness wait for
startup. A container found running when the agent starts keeps the readiness its pod had, and its
first probes are spread out. HTTP is spoken here in a few lines: a probe needs a status code.
"""

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.runtime.runtime import Runtime, RuntimeFailure
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from edgek.kinds.pods import port_number

KINDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}
AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Timing:
    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int


def timing(probe: Obj) -> Timing:
    return Timing(
        initial_delay=probe.get("initialDelaySeconds") or 0,
        period=probe.get("periodSeconds") or 10,
        timeout=probe.get("timeoutSeconds") or 1,
        successes=probe.get("successThreshold") or 1,
        failures=probe.get("failureThreshold") or 3,
    )


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running container to probe. ``adopted``: it ran before this agent did."""

    pod: Obj
    container: Obj
    container_id: str
    pod_ip: str
    age: float = 0.0
    adopted: bool = False
    was_ready: bool = False


@dataclass
class _Probed:
    uid: str
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)


Told = Callable[[Obj, Obj, str, str], None]
"""(pod, container, reason, message): a warning event."""


class Probes:
    def __init__(
        self, runtime: Runtime, tasks: Tasks, *, changed: Callable[[str], None], tell: Told
    ) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._changed = changed
        self._tell = tell
        self._probed: dict[str, _Probed] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.ready: dict[str, bool] = {}
        self.started: dict[str, bool] = {}
        self.unhealthy: dict[str, str] = {}

    def watch(self, target: Target) -> None:
        """Probes the container from now on; nothing to do where that is so already."""
        wanted = [kind for kind, key in KINDS.items() if target.container.get(key)]
        if target.container_id in self._probed or not wanted:
            return
        uid = target.pod["metadata"]["uid"]
        probed = self._probed[target.container_id] = _Probed(uid)
        if "readiness" in wanted:
            self.ready[target.container_id] = target.adopted and target.was_ready
        if "startup" in wanted and not (target.adopted and target.was_ready):
            self.started[target.container_id] = False
        else:
            probed.up.set()
        for kind in wanted:
            name = f"probe/{kind}/{target.container['name']}"
            task = self._tasks.spawn(self._run(kind, target, probed), name=name)
            probed.tasks.append(task)

    def forget(self, container_id: str) -> None:
        probed = self._probed.pop(container_id, None)
        for task in probed.tasks if probed else ():
            task.cancel()
        for results in (self.ready, self.started, self.unhealthy):
            results.pop(container_id, None)

    def watched(self, uid: str) -> list[str]:
        return [i for i, p in self._probed.items() if p.uid == uid]

    async def _run(self, kind: str, target: Target, probed: _Probed) -> None:
        probe = target.container[KINDS[kind]]
        when = timing(probe)
        if kind == "startup" and probed.up.is_set():
            return
        await asyncio.sleep(max(0.0, when.initial_delay - target.age))
        if target.adopted:
            await asyncio.sleep(random.random() * when.period)
        if kind != "startup":
            await probed.up.wait()
        row, last = 0, None
        while True:
            problem = await self._attempt(probe, target, when.timeout)
            good = problem is None
            row = row + 1 if good == last else 1
            last = good
            if problem is not None:
                text = f"{kind.capitalize()} probe failed: {problem}"
                self._tell(target.pod, target.container, "Unhealthy", text)
            if row >= (when.successes if good else when.failures):
                self._settle(kind, target, probed, good=good)
                if kind == "startup" and good:
                    return
            await asyncio.sleep(when.period)

    def _settle(self, kind: str, target: Target, probed: _Probed, *, good: bool) -> None:
        """Takes a result that has lasted long enough; tells only of a change."""
        container_id = target.container_id
        if container_id not in self._probed:
            return
        if kind == "readiness":
            changed = self.ready.get(container_id) != good
            self.ready[container_id] = good
        elif good:
            changed = kind == "startup"
            if changed:
                self.started[container_id] = True
                probed.up.set()
        else:
            changed = container_id not in self.unhealthy
            self.unhealthy[container_id] = f"{kind} probe"
        if changed:
            self._changed(probed.uid)

    async def _attempt(self, probe: Obj, target: Target, seconds: float) -> str | None:
        """None where it succeeded, else what went wrong."""
        async with self._slots:
            try:
                async with asyncio.timeout(seconds):
                    return await self._once(probe, target, seconds)
            except TimeoutError:
                return f"command timed out after {seconds:.0f}s" if "exec" in probe else (
                    f"context deadline exceeded: no answer within {seconds:.0f}s")  # fmt: skip
            except (OSError, RuntimeFailure, ValueError, EOFError) as err:
                return str(err) or type(err).__name__

    async def _once(self, probe: Obj, target: Target, seconds: float) -> str | None:
        if "exec" in probe:
            command = tuple(probe["exec"].get("command") or ())
            got = await self._runtime.exec(target.container_id, command, timeout=seconds)
            return None if got.exit_code == 0 else got.output.decode(errors="replace").strip()
        if "httpGet" in probe:
            return await http_get(probe["httpGet"], target)
        if "tcpSocket" in probe:
            where = probe["tcpSocket"]
            _, writer = await asyncio.open_connection(
                where.get("host") or target.pod_ip, _port(target, where["port"])
            )
            writer.close()
            return None
        return "this kind of probe is not supported"


def _port(target: Target, port: int | str) -> int:
    number = port_number({"spec": {"containers": [target.container]}}, port)
    if number is None:
        raise ValueError(f"couldn't find port: {port}")
    return number


async def http_get(get: Obj, target: Target) -> str | None:
    host, port = get.get("host") or target.pod_ip, _port(target, get["port"])
    context = None
    if get.get("scheme") == "HTTPS":
        context = ssl._create_unverified_context()  # as the kubelet: probes check no certificate
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        path = get.get("path") or "/"
        headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.37", "Accept": "*/*"}
        headers |= {h["name"]: h["value"] for h in get.get("httpHeaders") or ()}
        lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        first = (await reader.readline()).decode(errors="replace").split()
        if len(first) < 2 or not first[1].isdecimal():
            return "malformed HTTP response"
        code = int(first[1])
        return None if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"
    finally:
        writer.close()
