"""The page: how an agent is put together, in the order in which it comes up.

Join -> client -> Podman -> cluster values -> network -> pods, with the Node object, its Lease and
the tunnel beside them. With the checkpoint and a stored identity all of it comes up with no
server in reach. At the end containers, network and Podman's containers are left as they are;
``uninstall.py`` takes everything away.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial

from agent.api.local import LocalServer
from agent.api.stream import Handler
from agent.api.tunnel import Tunnel
from agent.config import AgentConfig
from agent.csi.build import Csi
from agent.devices.watch import DeviceWatch
from agent.engine import start_podman, version_of
from agent.life import Life
from agent.network.kernel import NetplugNetwork
from agent.node.addresses import Addresses
from agent.node.checkpoint import Checkpoint
from agent.node.cluster import CidrWatch, learn_cluster
from agent.node.facts import look_at_node
from agent.node.happened import reference
from agent.node.join import Joining, join, keep_fresh
from agent.node.lease import NodeLease
from agent.node.network_feed import NetworkFeed, set_up_network
from agent.node.overview import Overview
from agent.node.register import Registration
from agent.node.stopping import extend_patience, machine_stops
from agent.offline import (
    StaticPods,
    by_run_uid,
    follow_pods,
    local_handlers,
    start_static_pods,
)
from agent.pods.build import build_pod_sync
from agent.pods.shutdown import Shutdown
from agent.pods.sync import PodSync
from agent.pods.volumes.reclaim import build_reclaim
from agent.runtime.cgroups import Cgroups
from agent.runtime.machine import look_at_machine
from agent.runtime.pid_holder import PidHolders
from agent.streams import Node, streams
from agent.upkeep import Upkeep
from agent.values import node_network, node_spec, pod_host
from edgek.aio.clock import Clock, SystemClock
from edgek.aio.footprint import Footprint, few_arenas
from edgek.aio.notify import READY, notify
from edgek.aio.tasks import Tasks, first_of
from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers

log = logging.getLogger(__name__)

COMPONENT = "kubelet"
EVENTS_LINGER = 0.5
"""What pods wait for goes to the server before what people read."""


async def run_agent(config: AgentConfig, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set. Raises StartError where it cannot do its job."""
    few_arenas()
    footprint = Footprint(whole=not config.beside_server)
    agent = Agent(config, clock=SystemClock(), footprint=footprint)
    async with Tasks("agent") as tasks:
        stopping = tasks.spawn(stop.wait(), name="stop")
        working = tasks.spawn(agent.run(), name="run")
        await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        if agent.shutdown is not None and await machine_stops():
            await agent.shutdown.run()
        await agent.checkpoint.flush()
        footprint.close()


class Agent:
    def __init__(self, config: AgentConfig, *, clock: Clock, footprint: Footprint) -> None:
        self.config = config
        self._footprint = footprint
        self._clock = clock
        self._machine = look_at_machine()
        self.checkpoint = Checkpoint(config.home / "checkpoint", clock=clock)
        self.shutdown: Shutdown | None = None
        """The end of all pods in order, once there are any."""

    async def run(self) -> None:
        """Until cancelled. A node that was given another podCIDR starts over with it."""
        while True:
            await self._live()

    async def _live(self) -> None:
        # Tasks end before what they use is closed.
        async with AsyncExitStack() as stack, Tasks("agent") as tasks:
            service, runtime = await start_podman(
                self.config, self._machine, stack=stack, tasks=tasks
            )
            transport = await self._connect(stack, tasks)
            client = Client(transport, field_manager="kubelet")
            version = await version_of(runtime)
            facts = look_at_node(self.config.data_dir, runtime_version=version)
            informers = Informers(client, tasks)
            devices = DeviceWatch(self.config.devices_file)
            spec = node_spec(self.config, facts, machine=self._machine, devices=devices)
            recorder = EventRecorder(client, self._clock, linger=EVENTS_LINGER)
            voice = recorder.source(COMPONENT, host=self.config.node_name)
            voice.normal(reference(self.config.node_name), "Starting", "Starting kubelet.")
            for lack in self._machine.lacks().values():
                voice.warning(reference(self.config.node_name), "MissingController", lack)
            registration = Registration(client, spec, clock=self._clock, events=voice)
            service.on_problem = partial(registration.set_problem, "podman")
            tasks.spawn(registration.run(), name="node")
            cluster = await learn_cluster(client, self.config.node_name, self.checkpoint)
            network = NetplugNetwork()
            stack.push_async_callback(network.close)
            await set_up_network(
                network,
                node_network(self.config, cluster, spec.addresses),
                told=partial(registration.set_problem, "network"),
            )
            feed = NetworkFeed(network, informers, self.checkpoint)
            feed.nodes.informer.on_change(registration.on_change)
            life = Life(
                tasks=tasks, service=service, runtime=runtime, transport=transport, client=client,
                informers=informers, devices=devices, spec=spec, registration=registration,
                cluster=cluster, network=network, feed=feed, recorder=recorder,
            )  # fmt: skip
            csi, sync = self._pods(life)
            upkeep = self._upkeep(life, sync)
            await self._serve(life, sync, csi, upkeep)

    def _pods(self, life: Life) -> tuple[Csi, PodSync]:
        csi = Csi(
            life.client,
            kubelet_dir=self.config.kubelet_dir,
            pod_root=self.config.pod_root,
            node_name=self.config.node_name,
            events=life.recorder.source(COMPONENT, host=self.config.node_name),
            clock=self._clock,
        )
        sync = build_pod_sync(
            host=pod_host(self.config, life, machine=self._machine),
            client=life.client,
            runtime=life.runtime,
            network=life.network,
            cgroups=Cgroups(machine=self._machine, root=self.config.cgroup_root),
            events=life.recorder.source(COMPONENT, host=self.config.node_name),
            clock=self._clock,
            tasks=life.tasks,
            pod_root=self.config.pod_root,
            holders=PidHolders(self.config.run_dir / "holders"),
            storage_root=self.config.storage_root,
            more_volumes=(csi.volumes,),
            devices=life.devices,
            parallel_pulls=self.config.kubelet.parallel_pulls,
        )
        return csi, sync

    def _upkeep(self, life: Life, sync: PodSync) -> Upkeep:
        move = partial(self._move, life)
        events = life.recorder.source(COMPONENT, host=self.config.node_name)
        return Upkeep(
            config=self.config, machine=self._machine, spec=life.spec, service=life.service,
            runtime=life.runtime, registration=life.registration, sync=sync, devices=life.devices,
            events=events, clock=self._clock, move=move,
        )  # fmt: skip

    async def _serve(self, life: Life, sync: PodSync, csi: Csi, upkeep: Upkeep) -> None:
        """Until the tasks end, or the node must start over."""
        own = self.config.node_name
        follow_pods(sync, life.informers, life.tasks, checkpoint=self.checkpoint, node_name=own)
        static = await self._static_pods(sync, life.client, life.feed, life.recorder)
        reclaim = build_reclaim(
            client=life.client,
            informers=life.informers,
            node_name=own,
            events=life.recorder.source(COMPONENT, host=own),
            home=self.config.home,
            storage_root=self.config.storage_root,
        )
        served = self._streams(life, sync, upkeep)
        tunnel = Tunnel(
            life.transport, own, by_run_uid(served, sync.parts.pods), ended=self._footprint.changed
        )
        on_back = (life.registration.look_again, tunnel.dial_now)
        lease = NodeLease(life.client, own, clock=self._clock, on_back=on_back)
        local = self._local(
            sync, served, lease=lease, registration=life.registration, feed=life.feed
        )
        moves = CidrWatch(own, life.cluster, self.checkpoint)
        life.feed.nodes.informer.on_change(moves.on_change)
        for name, coro in (
            ("events", life.recorder.run()),
            ("services", life.feed.run_services()),
            ("peers", life.feed.run_nodes()),
            ("pods", sync.run()),
            ("manifests", static.files.run()),
            ("mirrors", static.mirrors.run()),
            ("local", local.run()),
            ("lease", lease.run()),
            ("csi", csi.run()),
            ("reclaim", reclaim.run()),
            ("tunnel", tunnel.run()),
            ("checkpoint", self.checkpoint.run()),
            *upkeep.jobs(),
        ):
            life.tasks.spawn(coro, name=name)
        life.registration.started()
        log.info("agent is ready node=%s ip=%s", own, life.spec.addresses.ip)
        notify(READY)
        sync.on_worked = self._footprint.changed
        self._footprint.changed()
        await first_of(life.tasks.wait(), moves.moved())

    def _streams(self, life: Life, sync: PodSync, upkeep: Upkeep) -> dict[str, Handler]:
        """What the server may ask of this node, by kind."""
        return streams(
            Node(
                config=self.config,
                facts=life.spec.facts,
                machine=self._machine,
                runtime=life.runtime,
                network=life.network,
                sync=sync,
                measure=upkeep.meter.disks,
                clock=self._clock,
            )
        )

    async def _move(self, life: Life, new: Addresses) -> None:
        """The node has another address."""
        await life.transport.replace(life.transport.access)  # the old address gets no answers
        await life.network.setup(node_network(self.config, life.cluster, new))
        life.feed.look_again()

    async def _connect(self, stack: AsyncExitStack, tasks: Tasks) -> HttpTransport:
        config = self.config
        joining = Joining(
            server=config.server,
            data_dir=config.data_dir,
            node_name=config.node_name,
            token=config.token,
        )
        identity = await join(joining, clock=self._clock)
        transport = HttpTransport(identity.access(config.server), share_watches=True)
        stack.push_async_callback(transport.close)
        fresh = keep_fresh(joining, identity, transport=transport, clock=self._clock)
        tasks.spawn(fresh, name="certificate")
        return transport

    async def _static_pods(
        self, sync: PodSync, client: Client, feed: NetworkFeed, recorder: EventRecorder
    ) -> StaticPods:
        return await start_static_pods(
            sync,
            folder=self.config.manifests,
            node_name=self.config.node_name,
            client=client,
            feed=feed,
            events=recorder.source(COMPONENT, host=self.config.node_name),
            checkpoint=self.checkpoint,
            clock=self._clock,
        )

    def _local(
        self,
        sync: PodSync,
        streams: dict[str, Handler],
        *,
        lease: NodeLease,
        registration: Registration,
        feed: NetworkFeed,
    ) -> LocalServer:
        """What is asked on this machine itself."""
        config = self.config
        self.shutdown = Shutdown(
            sync,
            config.shutdown,
            clock=self._clock,
            not_ready=partial(registration.set_problem, "shutdown"),
            extend=extend_patience,
        )
        overview = Overview(
            node_name=config.node_name,
            address=sync.parts.host.node_ip,
            server=config.server,
            data_dir=config.data_dir,
            lease=lease,
            checkpoint=self.checkpoint,
            node=lambda: feed.node(config.node_name),
            problems=registration.problems,
            shortcomings=list(self._machine.shortcomings()),
            pods=lambda: len(sync.parts.pods.all()),
        )
        handlers = local_handlers(sync, streams=streams, overview=overview, shutdown=self.shutdown)
        return LocalServer(config.run_dir / "agent.sock", handlers)
