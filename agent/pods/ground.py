"""What a pod stands on before its containers start: cgroup, sandbox, /etc files, volumes.

``create_sandbox`` is done by the worker; volumes are made by a task of their own, because a file
server may hang, and are brought up to date when an object they show has changed.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta

from agent.network import NetworkFailure, Sandbox
from agent.pods.environment import ConfigError, Surroundings
from agent.pods.etc import host_network, kernel_hostname, write_etc
from agent.pods.isolation import IPC
from agent.pods.memory import Memory
from agent.pods.mounts import MountError, check_shared
from agent.pods.parts import Parts
from agent.pods.place import Place
from agent.pods.references import references
from agent.pods.resources import class_shares, pod_resources
from agent.pods.sources import NotSynced
from agent.pods.state import CONTAINER_NAME, HANDLER, SandboxError
from agent.pods.sysctls import pod_sysctls
from agent.pods.volumes.plugin import Pending, VolumeError
from agent.runtime.runtime import Namespaces, Resources
from edgek.api.meta import (
    Obj,
    annotations,
    labels,
    name,
    uid,
)
from edgek.kinds.pods import containers, init_containers, qos_class

log = logging.getLogger(__name__)

VOLUME_RETRY, MAX_VOLUME_RETRY = 0.5, 122.0
"""As the kubelet's exponential back-off of failed mounts."""
VOLUMES_SOON = 0.2
"""Seconds. What takes longer may be a file server that hangs."""


class Ground:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._shares: dict[str, int] = {}

    def host_sandbox(self, pod_uid: str) -> Sandbox:
        ip = self.parts.host.node_ip
        ipc = self.parts.volumes.pod_dir(pod_uid) / IPC
        shared = str(ipc) if ipc.exists() else "private"
        return Sandbox(pod_uid=pod_uid, ip=ip, net="host", ipc=shared, uts="host")

    async def ready(self, pod: Obj, memory: Memory) -> bool:
        """Whether containers may start now. An earlier life may have died half way through
        making the sandbox: making it again changes nothing of what is there. The same where a
        container could not be made, because somebody may have taken files away."""
        if memory.doubt_at is not None and self.parts.clock.now() >= memory.doubt_at:
            memory.doubt_at, memory.sandbox_made, memory.prepared = None, False, None
            if await self._is_lost(pod, memory):
                memory.sandbox = None  # all its containers go with it
                self.parts.queue.add(uid(pod))
                return False
        if not await self._volumes_soon(pod, memory):
            return False
        if not memory.sandbox_made:
            await self.create_sandbox(pod, memory)
        return True

    async def _volumes_soon(self, pod: Obj, memory: Memory) -> bool:
        """As ``volumes_ready``. Most are made in milliseconds, and so long the worker waits rather
        than turn to another pod: of many pods the first are started while the last are
        prepared."""
        if not self.volumes_ready(pod, memory) and memory.preparing is not None:
            await asyncio.wait({memory.preparing}, timeout=VOLUMES_SOON)
        return memory.prepared is not None

    async def _is_lost(self, pod: Obj, memory: Memory) -> bool:
        if memory.sandbox is None or memory.sandbox.net == "host":
            return False
        return uid(pod) not in await self.parts.network.sandboxes()

    async def create_sandbox(self, pod: Obj, memory: Memory) -> None:
        p, pod_uid = self.parts, uid(pod)
        try:
            p.isolation.check(pod)
            memory.pod_limits = pod_resources(pod, pids_limit=p.host.pod_max_pids)
            self.limit(pod, memory.pod_limits)
            if host_network(pod):
                await p.isolation.share_memory(p.volumes.pod_dir(pod_uid))
                sandbox = self.host_sandbox(pod_uid)
            else:
                sandbox = await p.network.attach(
                    pod_uid,
                    hostname=kernel_hostname(pod, p.host.dns.cluster_domain),
                    sysctls=pod_sysctls(pod),
                )
                await self._open_host_ports(pod, sandbox)
            await p.isolation.prepare(pod, self._cgroup(pod))
            await p.volumes.make_shm(pod_uid)
            etc = p.volumes.pod_dir(pod_uid) / "etc"
            omitted = await asyncio.to_thread(
                write_etc, etc, pod, pod_ip=sandbox.ip, dns=p.host.dns, host_name=p.host.node_name
            )
            for text in omitted:
                p.events.warning(pod, "DNSConfigForming", text)
        except NotSynced:  # its RuntimeClass: the pod is looked at again when that is known
            return
        except (NetworkFailure, MountError, OSError, SandboxError) as err:
            text = f"Failed to create pod sandbox: {err}"
            p.events.warning(pod, "FailedCreatePodSandBox", text)
            raise
        memory.sandbox, memory.sandbox_made = sandbox, True

    async def _open_host_ports(self, pod: Obj, sandbox: Sandbox) -> None:
        every = (*containers(pod), *init_containers(pod))
        ports = [x for c in every for x in c.get("ports") or () if x.get("hostPort")]
        if ports:
            await self.parts.network.set_host_ports(uid(pod), sandbox.ip, ports)

    def limit(self, pod: Obj, resources: Resources) -> None:
        """Makes the pod's cgroup, or changes its limits. Raises OSError."""
        self.parts.cgroups.create(self._cgroup(pod), resources)

    def balance(self, pods: Iterable[Obj]) -> None:
        """Weighs the QoS classes against each other by what their pods ask for."""
        shares = class_shares(pods)
        if shares == self._shares:
            return
        self._shares = shares
        cgroups = self.parts.cgroups
        try:
            for qos, weight in shares.items():
                path = cgroups.class_path(qos)
                cgroups.create(path, Resources(cpu_shares=weight, cpu_period_us=0))
        except OSError as err:
            log.warning("QoS classes not weighed err=%s", err)

    def memory_usage(self, pod: Obj, container_id: str) -> int | None:
        return self.parts.cgroups.memory_usage(f"{self._cgroup(pod)}/libpod-{container_id}")

    def _cgroup(self, pod: Obj) -> str:
        return self.parts.cgroups.pod_path(qos_class(pod), uid(pod))

    def around(self, pod: Obj, memory: Memory) -> Surroundings:
        p = self.parts
        return Surroundings(
            lookup=p.sources.get,
            pod_ip=memory.sandbox.ip if memory.sandbox else "",
            host_ip=p.host.node_ip,
            services=p.host.services(),
            allocatable=p.host.allocatable,
            domain=p.host.dns.cluster_domain,
            node=p.host.node(),
            bundles=p.sources.trust_bundles,
        )

    def _handler(self, pod: Obj) -> str:
        """Its other containers', though the class be gone by now."""
        found = self.parts.containers.of(uid(pod))
        return found[0].labels.get(HANDLER, "") if found else self.parts.isolation.handler(pod)

    def _pid_namespace(self, pod: Obj, container: Obj) -> str:
        """Raises ConfigError where it is to be that of a container that does not run."""
        if pod["spec"].get("hostPID"):
            return "host"
        running = [c for c in self.parts.containers.of(uid(pod)) if c.state == "running"]
        if target := container.get("targetContainerName"):
            found = next((c for c in running if c.labels.get(CONTAINER_NAME) == target), None)
            if found is None:
                raise ConfigError(f"unable to find target container {target}")
            # By path: told the id, Podman would not remove the one before the other.
            return f"/proc/{found.pid}/ns/pid"
        return self.parts.isolation.pid(pod)

    def place(self, pod: Obj, memory: Memory, container: Obj) -> Place:
        p, spec = self.parts, pod["spec"]
        assert memory.sandbox is not None
        return Place(
            namespaces=Namespaces(
                net=memory.sandbox.net,
                ipc="host" if spec.get("hostIPC") else memory.sandbox.ipc,
                uts=memory.sandbox.uts,
                pid=self._pid_namespace(pod, container),
            ),
            cgroup_parent=self._cgroup(pod),
            log_root=p.host.log_root,
            pod_dir=p.volumes.pod_dir(uid(pod)),
            security=p.host.security,
            handler=self._handler(pod),
            id_range=p.isolation.id_range(pod),
            node_memory=p.host.memory,
            volume=lambda volume: p.volumes.get(uid(pod), volume),
            sub_path=lambda *path: p.volumes.sub_path(uid(pod), *path),
            check_shared=check_shared,
            read_only_tree=lambda *path: p.volumes.sub_path(uid(pod), *path, read_only=True),
        )

    def volumes_ready(self, pod: Obj, memory: Memory) -> bool:
        """Whether containers may start; sets off what is needed for it, or for an update."""
        made_from = self._made_from(pod)
        if made_from is None:
            return memory.prepared is not None
        now = self.parts.clock.now()
        renew_at = self.parts.volumes.tokens.renew_at(uid(pod))
        current = memory.prepared == made_from and (renew_at is None or now < renew_at)
        # What it waited for may have come: a change of what it is made from is tried at once.
        same = memory.volumes_tried == made_from
        waits = same and memory.volume_retry_at is not None and now < memory.volume_retry_at
        if not current and memory.preparing is None and not waits:
            run = self._prepare(pod, memory, made_from)
            memory.preparing = self.parts.tasks.spawn(run, name=f"volumes/{name(pod)}")
        return memory.prepared is not None

    def _made_from(self, pod: Obj) -> object:
        """A value that changes when the volumes' files have to; None while that is not known."""
        versions = []
        sources = self.parts.sources
        for ref in sorted(
            references(pod, sources.get), key=lambda r: (r.kind.kind, r.key, r.fields)
        ):
            try:
                versions.append((ref, sources.version(ref)))
            except NotSynced:
                return None
        return (versions, labels(pod), annotations(pod))

    async def _prepare(self, pod: Obj, memory: Memory, made_from: object) -> None:
        p = self.parts
        try:
            had = bool(p.containers.of(uid(pod)))
            await p.volumes.prepare(pod, self.around(pod, memory), owned=had)
            memory.prepared = made_from
            memory.volume_retry, memory.volume_retry_at = 0.0, None
            _tell_waiting(pod, memory, None)
        except VolumeError as err:
            memory.volumes_tried = made_from
            if isinstance(err, Pending):
                _tell_waiting(pod, memory, err)
                memory.volume_retry_at = err.retry_at
                return
            p.events.warning(pod, "FailedMount", str(err))
            memory.volume_retry = min(memory.volume_retry * 2 or VOLUME_RETRY, MAX_VOLUME_RETRY)
            memory.volume_retry_at = p.clock.now() + timedelta(seconds=memory.volume_retry)
        finally:
            memory.preparing = None
            p.queue.add(uid(pod))


def _tell_waiting(pod: Obj, memory: Memory, why: Pending | None) -> None:
    """As toKubeContainerImageVolumes: the containers that mount the volume wait for what it waits
    for. None: no longer."""
    for own in memory.volume_waits:
        memory.waiting.pop(own, None)
    memory.volume_waits = set()
    for container in (*init_containers(pod), *containers(pod)):
        mounted = (m["name"] for m in container.get("volumeMounts") or ())
        if why is not None and why.volume in mounted:
            memory.waiting[container["name"]] = why.waiting
            memory.volume_waits.add(container["name"])
