"""The page: how an agent is put together, in the order in which it comes up.

Join -> client -> Podman -> cluster values -> network -> pods, with the Node object, its Lease and
the tunnel beside them. With the checkpoint and a stored identity all of it comes up with no
server in reach. At the end containers, network and Podman's containers are left as they are;
``clean_up`` takes everything away.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path

from agent.api.dial import dial_handler
from agent.api.log import log_handler
from agent.api.port_forward import port_forward_handler
from agent.api.session import attach_handler, exec_handler
from agent.api.stream import Handler
from agent.api.tunnel import Tunnel
from agent.config import AgentConfig, route_address
from agent.network import NodeNetwork
from agent.network.kernel import NetplugNetwork
from agent.node.checkpoint import Checkpoint
from agent.node.cluster import Cluster, learn_cluster
from agent.node.facts import Facts, look_at_node
from agent.node.join import Joining, join, keep_fresh
from agent.node.lease import NodeLease
from agent.node.network_feed import NetworkFeed
from agent.node.register import Registration
from agent.node.status import NodeSpec
from agent.pods.build import build_pod_sync
from agent.pods.etc import DnsSettings
from agent.pods.isolation import NodeSecurity
from agent.pods.leave import leave
from agent.pods.memory import Host
from agent.pods.sources import Ref
from agent.pods.sync import PodSync
from agent.pods.volumes.reclaim import build_reclaim
from agent.runtime.cgroups import Cgroups
from agent.runtime.handlers import find_handlers
from agent.runtime.machine import look_at_machine
from agent.runtime.pid_holder import PidHolders
from agent.runtime.podman import PodmanRuntime
from agent.runtime.runtime import RuntimeFailure
from agent.runtime.service import PodmanService
from agent.usage import Node, no_disks, usage_handler
from edgek.aio.clock import Clock, SystemClock
from edgek.aio.notify import READY, notify
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj, key_of
from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import (
    CONFIG_MAP,
    ENDPOINTS,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
)
from edgek.kinds.provisioned import STORAGE_DIRECTORY
from edgek.roles import StartError

log = logging.getLogger(__name__)

COMPONENT = "kubelet"
IMAGES = Path("/var/lib/containers")
"""The system's own storage, which the agent's Podman uses too."""
REFERRED = (CONFIG_MAP, SECRET, PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME, ENDPOINTS)
KINDS = {kind.kind: kind for kind in REFERRED}


async def run_agent(config: AgentConfig, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set. Raises StartError where it cannot do its job."""
    agent = Agent(config, clock=SystemClock())
    async with Tasks("agent") as tasks:
        stopping = tasks.spawn(stop.wait(), name="stop")
        working = tasks.spawn(agent.run(), name="run")
        await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()


async def clean_up(config: AgentConfig) -> list[str]:
    """Takes away all that an agent made on this machine but its data directory; for
    ``edgek uninstall``, while no agent runs. Gives back what could not be done."""
    machine = look_at_machine()
    pod_root = config.home / "pods"
    service = PodmanService(
        machine, run_dir=config.run_dir, data_dir=config.home, shared=(pod_root,)
    )
    problems = []
    try:
        await service.start()
    except (StartError, RuntimeFailure, OSError) as err:  # network and the rest go all the same
        problems.append(f"podman: {err}")
    runtime = PodmanRuntime(service.socket, machine=machine, boot=service.boot, enter=service.enter)
    network = NetplugNetwork()
    try:
        return problems + await leave(
            runtime=runtime,
            network=network,
            cgroups=Cgroups(machine=machine, root=config.cgroup_root),
            pod_root=pod_root,
            log_root=config.log_dir,
        )
    finally:
        await network.close()
        await runtime.close()
        await service.stop()
        await service.teardown()


class Agent:
    def __init__(self, config: AgentConfig, *, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._machine = look_at_machine()
        self._checkpoint = Checkpoint(config.home / "checkpoint", clock=clock)
        self._pod_root = config.home / "pods"
        self._storage_root = config.data_dir / "storage"

    async def run(self) -> None:
        """Until cancelled."""
        # Tasks end before what they use is closed.
        async with AsyncExitStack() as stack, Tasks("agent") as tasks:
            service, runtime = await self._start_podman(stack, tasks)
            transport = await self._connect(stack, tasks)
            client = Client(transport, field_manager="kubelet")
            facts = look_at_node(self.config.data_dir, runtime_version=await _version_of(runtime))
            informers = Informers(client, tasks)
            registration = Registration(client, self._node_spec(facts), clock=self._clock)
            service.on_problem = partial(registration.set_problem, "podman")
            tasks.spawn(registration.run(), name="node")
            cluster = await learn_cluster(client, self.config.node_name, self._checkpoint)
            network = NetplugNetwork()
            stack.push_async_callback(network.close)
            await network.setup(self._node_network(cluster))
            feed = NetworkFeed(network, informers, self._checkpoint)
            feed.nodes.informer.on_change(registration.on_change)
            recorder = EventRecorder(client, self._clock)
            sync = build_pod_sync(
                host=self._host(facts, cluster, feed, boot=service.boot),
                client=client,
                runtime=runtime,
                network=network,
                cgroups=Cgroups(machine=self._machine, root=self.config.cgroup_root),
                events=recorder.source(COMPONENT, host=self.config.node_name),
                clock=self._clock,
                tasks=tasks,
                pod_root=self._pod_root,
                holders=PidHolders(self.config.run_dir / "holders"),
                storage_root=self._storage_root,
            )
            self._follow_pods(sync, informers, tasks)
            reclaim = build_reclaim(
                client=client,
                informers=informers,
                node_name=self.config.node_name,
                events=recorder.source(COMPONENT, host=self.config.node_name),
                home=self.config.home,
                storage_root=self._storage_root,
            )
            tunnel = Tunnel(
                transport, self.config.node_name, self._streams(runtime, network, sync, facts)
            )
            lease = NodeLease(client, self.config.node_name, clock=self._clock)
            for name, coro in (
                ("events", recorder.run()),
                ("services", feed.run_services()),
                ("peers", feed.run_nodes()),
                ("pods", sync.run()),
                ("lease", lease.run()),
                ("reclaim", reclaim.run()),
                ("tunnel", tunnel.run()),
                ("checkpoint", self._checkpoint.run()),
            ):
                tasks.spawn(coro, name=name)
            registration.started()
            log.info("agent is ready node=%s ip=%s", self.config.node_name, self._node_ip())
            notify(READY)
            await tasks.wait()

    async def _start_podman(
        self, stack: AsyncExitStack, tasks: Tasks
    ) -> tuple[PodmanService, PodmanRuntime]:
        service = PodmanService(
            self._machine,
            run_dir=self.config.run_dir,
            data_dir=self.config.home,
            shared=(self._pod_root,),
        )
        await service.start()
        stack.push_async_callback(service.stop)
        runtime = PodmanRuntime(
            service.socket, machine=self._machine, boot=service.boot, enter=service.enter
        )
        stack.push_async_callback(runtime.close)
        service.on_back = runtime.came_back
        tasks.spawn(service.run(), name="podman")
        return service, runtime

    async def _connect(self, stack: AsyncExitStack, tasks: Tasks) -> HttpTransport:
        config = self.config
        joining = Joining(
            server=config.server,
            data_dir=config.data_dir,
            node_name=config.node_name,
            token=config.token,
        )
        identity = await join(joining, clock=self._clock)
        transport = HttpTransport(identity.access(config.server))
        stack.push_async_callback(transport.close)
        fresh = keep_fresh(joining, identity, transport=transport, clock=self._clock)
        tasks.spawn(fresh, name="certificate")
        return transport

    def _streams(
        self, runtime: PodmanRuntime, network: NetplugNetwork, sync: PodSync, facts: Facts
    ) -> dict[str, Handler]:
        """What the server may ask for through the tunnel."""
        logs, pod_of = log_handler(runtime, self._clock), sync.parts.pods.get
        return {
            "log": logs,
            "exec": exec_handler(runtime),
            "attach": attach_handler(runtime),
            "portforward": port_forward_handler(network, pod_of),
            "dial": dial_handler(pod_of, sync.address),
            "http": usage_handler(sync, self._node(facts, logs)),
        }

    def _follow_pods(self, sync: PodSync, informers: Informers, tasks: Tasks) -> None:
        """The server's pods, or the checkpoint's until it has answered."""
        pods, sources = sync.parts.pods, sync.parts.sources
        for obj in self._checkpoint.load("objects"):
            sources.remember(Ref(KINDS[obj["kind"]], key_of(obj)), obj)
        pods.restore(self._checkpoint.load("pods"))
        self._checkpoint.provide("pods", pods.all)
        self._checkpoint.provide("objects", lambda: [obj for _, obj in sources.known()])
        informer = informers.get(POD, field_selector=f"spec.nodeName={self.config.node_name}")

        def changed(old: Obj | None, new: Obj | None) -> None:
            pods.on_change(old, new)
            self._checkpoint.mark("pods")

        async def synced() -> None:
            await informer.wait_synced()
            pods.sync(informer.list())
            sync.look_at_all()

        informer.on_change(changed)
        sources.on_change = lambda: self._checkpoint.mark("objects")
        tasks.spawn(synced(), name="first-list")

    # -- values ----------------------------------------------------------------------------

    def _node_ip(self) -> str:
        found = self.config.node_ip or route_address(self.config.server)
        if not found:
            raise StartError("this machine has no address yet; set --node-ip or bring a link up")
        return found

    def _node_spec(self, facts: Facts) -> NodeSpec:
        return NodeSpec(
            name=self.config.node_name,
            ip=self._node_ip(),
            facts=facts,
            max_pods=self.config.max_pods,
            first_labels=dict(self.config.labels),
            taints=tuple(self.config.taint_objects()),
            annotations={STORAGE_DIRECTORY: str(self._storage_root)},
        )

    def _node(self, facts: Facts, logs: Handler) -> Node:
        """What the kubelet's endpoints tell of it."""
        return Node(
            name=self.config.node_name,
            facts=facts,
            machine=self._machine,
            logs=logs,
            log_dir=self.config.log_dir,
            data_dir=self.config.data_dir,
            image_dir=IMAGES,
            measure=no_disks,
            config={
                "kind": "KubeletConfiguration",
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "cgroupRoot": self.config.cgroup_root,
                "maxPods": self.config.max_pods,
                "podLogsDir": str(self.config.log_dir),
            },
        )

    def _node_network(self, cluster: Cluster) -> NodeNetwork:
        return NodeNetwork(
            node_name=self.config.node_name,
            node_ip=self._node_ip(),
            pod_cidr=cluster.pod_cidr,
            cluster_cidr=cluster.cluster_cidr,
            service_cidr=cluster.service_cidr,
            dns_ip=cluster.cluster_dns,
            cluster_domain=cluster.cluster_domain,
        )

    def _security(self) -> NodeSecurity:
        return NodeSecurity(
            unsafe_sysctls=self.config.unsafe_sysctls,
            seccomp_default=self.config.seccomp_default,
            seccomp_root=self.config.home / "seccomp",
            apparmor=self._machine.apparmor,
            user_namespaces=self._machine.user_namespaces,
            handlers=tuple(find_handlers()),
        )

    def _host(self, facts: Facts, cluster: Cluster, feed: NetworkFeed, *, boot: str) -> Host:
        return Host(
            node_name=self.config.node_name,
            node_ip=self._node_ip(),
            dns=DnsSettings(cluster_dns=cluster.cluster_dns, cluster_domain=cluster.cluster_domain),
            allocatable=facts.allocatable(max_pods=self.config.max_pods),
            memory=Fraction(facts.memory),
            boot=boot,
            log_root=self.config.log_dir,
            security=self._security(),
            services=feed.services.list,
            node=lambda: feed.node(self.config.node_name),
        )


async def _version_of(runtime: PodmanRuntime) -> str:
    try:
        return (await runtime.version()).version
    except RuntimeFailure as err:
        raise StartError(f"podman does not answer: {err}") from err
