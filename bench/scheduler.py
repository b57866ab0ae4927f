"""Pods placed per second by the pure scheduling step: no API server, no disk.

    python -m bench scheduler [pods]

One line per cluster size and kind of pod, the last ones amid many that want to be apart. The
whole path (watch, bind, commit) is what ``bench/api.py`` measures; this is the part of it that
the scheduler can be blamed for.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

from server.scheduler.pod_info import pod_info
from server.scheduler.rankings import Rankings
from server.scheduler.scheduler import DEFAULT_PROFILE
from server.scheduler.snapshot import Snapshot


def node(number: int) -> dict[str, Any]:
    return {
        "metadata": {"name": f"node-{number}", "labels": {"zone": f"z{number % 3}"}},
        "spec": {},
        "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"}},
    }


def pod(number: int, more: dict[str, Any]) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": True}
    return {
        "metadata": {
            "name": f"web-{number}",
            "namespace": "default",
            "uid": f"uid-{number}",
            "labels": {"app": "web"},
            "ownerReferences": [owner],
        },
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "image": "web",
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                }
            ],
            **more,
        },
    }


CROWD = 10_000

SPREAD: dict[str, Any] = {
    "topologySpreadConstraints": [
        {
            "topologyKey": "zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }
    ]
}


APART: dict[str, Any] = {
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"app": "other"}}, "topologyKey": "zone"}
            ]
        }
    }
}


def crowd(snapshot: Snapshot, nodes: int) -> None:
    """Ten thousand pods that want to be away from others."""
    for number in range(CROWD):
        one = pod(number, APART)
        one["metadata"] |= {"uid": f"crowd-{number}", "labels": {"app": f"crowd-{number % 20}"}}
        one["spec"]["containers"][0].pop("resources")
        one["spec"]["nodeName"] = f"node-{number % nodes}"
        snapshot.set_pod(one)


def run(nodes: int, pods: int, more: dict[str, Any], *, crowded: bool = False) -> float:
    snapshot = Snapshot()
    for number in range(nodes):
        snapshot.set_node(node(number))
    if crowded:
        crowd(snapshot, nodes)
    rankings = Rankings(snapshot, DEFAULT_PROFILE)
    waiting = [pod(number, more) for number in range(pods)]
    began = time.perf_counter()
    for obj in waiting:
        info = pod_info(obj)
        placed = rankings.place(info)
        assert isinstance(placed, str), placed
        snapshot.assume(info, placed)
    return pods / (time.perf_counter() - began)


def main(argv: Sequence[str] = ()) -> None:
    pods = int(argv[0]) if argv else 1000
    for nodes in (100, 500):
        for label, more in (("plain", {}), ("zone spread", SPREAD)):
            print(f"{nodes} nodes, {pods} pods, {label}: {run(nodes, pods, more):,.0f} pods/s")
    for label, more in (("plain", {}), ("anti-affinity", APART)):
        speed = run(500, pods, more, crowded=True)
        print(f"500 nodes with {CROWD} pods, {pods} pods, {label}: {speed:,.0f} pods/s")


if __name__ == "__main__":
    main(sys.argv[1:])
