"""How the CSI parts are put together."""

from pathlib import Path

from agent.csi.csi_node import NodeReport
from agent.csi.driver import Drivers
from agent.csi.places import Places
from agent.csi.registration import Registration
from agent.csi.server import ServerSide
from agent.csi.volumes import CsiVolumes
from agent.pods.tokens import Tokens
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.client.client import Client
from edgek.control.events import Source


class Csi:
    """``volumes`` is the plugin for ``build_pod_sync``."""

    def __init__(
        self,
        client: Client,
        *,
        kubelet_dir: Path,
        pod_root: Path,
        node_name: str,
        events: Source,
        clock: Clock,
    ) -> None:
        places = Places(root=kubelet_dir, pod_root=pod_root)
        drivers = Drivers()
        self._report = NodeReport(client, node_name)
        self._places, self._drivers = places, drivers
        self.volumes = CsiVolumes(
            places,
            drivers,
            self._report,
            ServerSide(client, Tokens(client, clock=clock)),
            events=events,
            node_name=node_name,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with Tasks("csi") as tasks:
            registration = Registration(self._places, self._drivers, self._report, tasks)
            tasks.spawn(registration.run(), name="registration")
            tasks.spawn(self._report.run(), name="report")
            tasks.spawn(self.volumes.run(), name="volumes")
            await tasks.wait()
