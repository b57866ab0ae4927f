"""Who gets which device. Pure but for its memory, which the labels of containers can restore.

A container keeps its devices for as long as its pod lives, over its own restarts and the agent's,
as the kubelet's device manager has it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.devices.declared import Declared
from agent.devices.inventory import Inventory, Unit
from agent.runtime.runtime import Device, Mount

LABEL = "io.edgek.devices"
"""On a container: the ids of its devices by resource, as JSON."""

Holding = Mapping[str, tuple[str, ...]]
"""Resource -> ids of units, one an amount of 1."""


class Unavailable(Exception):
    """In the kubelet's words."""


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """What a container's spec gets for its devices."""

    devices: tuple[Device, ...] = ()
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def choose(
    declared: Declared, units: Iterable[Unit], *, amount: int, used: Counter[str]
) -> tuple[str, ...]:
    """The ids of so many, the least used first. Raises Unavailable."""
    left = Counter({u.id: declared.shared - used[u.id] for u in units})
    chosen: list[str] = []
    free = sum(max(n, 0) for n in left.values())
    if free < amount:
        raise Unavailable(
            "Allocate failed due to requested number of devices unavailable for "
            f"{declared.name}. Requested: {amount}, Available: {free}, which is unexpected"
        )
    for _ in range(amount):
        best = min((u for u in left if left[u] > 0), key=lambda u: (-left[u], u))
        left[best] -= 1
        chosen.append(best)
    return tuple(chosen)


def allotment(
    declared: Mapping[str, Declared], inventory: Inventory, holding: Holding
) -> Allotment:
    """What comes with the units held. A unit that is not there now is Unavailable."""
    devices: dict[str, Device] = {}
    mounts: dict[str, Mount] = {}
    env: dict[str, str] = {}
    groups: list[int] = []
    for name, ids in holding.items():
        spec = declared[name]
        there = {unit.id: unit for unit in inventory.get(name, ())}
        for unit_id in dict.fromkeys(ids):
            if unit_id not in there:
                raise Unavailable(f"device {unit_id} of {name} is not there")
            for path in there[unit_id].paths:
                devices[path] = Device(path=path, target=path, permissions=spec.permissions)
        env |= spec.env
        groups += spec.groups
        for mount in spec.mounts:
            mounts[mount.target] = Mount(
                source=mount.path, target=mount.target, read_only=mount.read_only
            )
    return Allotment(
        devices=tuple(devices.values()),
        mounts=tuple(mounts.values()),
        env=env,
        groups=tuple(dict.fromkeys(groups)),
        labels={LABEL: json.dumps({n: list(ids) for n, ids in holding.items()})},
    )


def read_label(text: str) -> dict[str, tuple[str, ...]]:
    """What a container of an earlier life of the agent holds; nothing where that is garbage."""
    try:
        found = json.loads(text)
        return {str(name): tuple(map(str, ids)) for name, ids in found.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


@dataclass
class Allotments:
    """Holdings by pod uid and container name."""

    held: dict[tuple[str, str], Holding] = field(default_factory=dict)

    def adopt(self, pod_uid: str, container: str, label: str) -> None:
        """What its label says, unless it is known already."""
        if label:
            self.held.setdefault((pod_uid, container), read_label(label))

    def keep(self, pods: Iterable[str]) -> None:
        """All other pods are over: what they held is free."""
        alive = set(pods)
        self.held = {k: v for k, v in self.held.items() if k[0] in alive}

    def reserve(
        self,
        pod_uid: str,
        container: str,
        need: Mapping[str, int],
        *,
        declared: Mapping[str, Declared],
        inventory: Inventory,
    ) -> Allotment:
        """The container's devices, the same ones each time. Raises Unavailable."""
        key = (pod_uid, container)
        holding = dict(self.held.get(key, {}))
        for name, amount in need.items():
            if len(holding.get(name, ())) != amount:
                others = (h.get(name, ()) for k, h in self.held.items() if k != key)
                used = Counter(unit for ids in others for unit in ids)
                units = inventory.get(name, ())
                holding[name] = choose(declared[name], units, amount=amount, used=used)
        holding = {name: ids for name, ids in holding.items() if name in need}
        self.held[key] = holding
        return allotment(declared, inventory, holding)
