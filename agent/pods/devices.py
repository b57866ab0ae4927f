"""Gives containers the board's devices that they ask for (``agent/devices``)."""

from dataclasses import dataclass, replace

from agent.devices.allot import LABEL
from agent.devices.watch import DeviceWatch
from agent.pods.state import CONTAINER_NAME
from agent.pods.store import Containers, Pods
from agent.runtime.runtime import ContainerSpec
from edgek.api.meta import Obj, get_path, uid
from edgek.api.quantity import value
from edgek.kinds.pods import is_terminal


@dataclass(frozen=True, kw_only=True)
class PodDevices:
    watch: DeviceWatch
    pods: Pods
    containers: Containers

    def add(self, pod: Obj, container: Obj, spec: ContainerSpec) -> ContainerSpec:
        """The spec with the devices of the container's limits. Raises Unavailable."""
        limits = get_path(container, "resources", "limits", default={})
        need = {name: value(amount) for name, amount in limits.items() if "/" in name}
        if not need:
            return spec
        self._settle()
        given = self.watch.reserve(uid(pod), container["name"], need)
        security = spec.security
        groups = (*security.supplemental_groups, *given.groups)
        return replace(
            spec,
            devices=(*spec.devices, *given.devices),
            mounts=(*spec.mounts, *given.mounts),
            env={**given.env, **spec.env},
            labels={**spec.labels, **given.labels},
            security=replace(security, supplemental_groups=tuple(dict.fromkeys(groups))),
        )

    def _settle(self) -> None:
        """Who holds devices: what the labels of containers say, of pods that are not over."""
        for pod_uid in self.containers.uids():
            for found in self.containers.of(pod_uid):
                name = found.labels.get(CONTAINER_NAME, "")
                self.watch.adopt(pod_uid, name, found.labels.get(LABEL, ""))
        over = {uid(pod) for pod in self.pods.all() if is_terminal(pod)}
        here = {*self.containers.uids(), *(uid(pod) for pod in self.pods.all())}
        self.watch.keep(here - over)
