"""Life: what one life of the agent is made of, handed from one part of its start to the next."""

from dataclasses import dataclass

from agent.devices.watch import DeviceWatch
from agent.network.kernel import NetplugNetwork
from agent.node.cluster import Cluster
from agent.node.network_feed import NetworkFeed
from agent.node.register import Registration
from agent.node.status import NodeSpec
from agent.runtime.podman import PodmanRuntime
from agent.runtime.service import PodmanService
from edgek.aio.tasks import Tasks
from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers


@dataclass(frozen=True, kw_only=True)
class Life:
    """What one life of the agent is made of: from a podCIDR to another."""

    tasks: Tasks
    service: PodmanService
    runtime: PodmanRuntime
    transport: HttpTransport
    client: Client
    informers: Informers
    devices: DeviceWatch
    spec: NodeSpec
    registration: Registration
    cluster: Cluster
    network: NetplugNetwork
    feed: NetworkFeed
    recorder: EventRecorder
