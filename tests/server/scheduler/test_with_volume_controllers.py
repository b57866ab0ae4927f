"""Scheduler and volume controllers together: claims that wait for their pod, from end to end."""

import pytest

from edgek.api.meta import Obj, name
from edgek.kinds import NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from server.controllers import ephemeral_volumes, volume_claims, volumes
from server.scheduler.scheduler import build
from tests.support.cluster import ClusterApi, node, pod, until
from tests.support.loops import running

pytestmark = pytest.mark.looptime

ALL = (volume_claims.build, volumes.build, ephemeral_volumes.build, build)
WISH = {
    "storageClassName": "local",
    "accessModes": ["ReadWriteOnce"],
    "volumeMode": "Filesystem",
    "resources": {"requests": {"storage": "1Gi"}},
}


def local_volume(number: int, on_node: str) -> Obj:
    field = {"key": "kubernetes.io/hostname", "operator": "In", "values": [on_node]}
    spec = {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain",
        "capacity": {"storage": "1Gi"},
        "local": {"path": f"/data/{number}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [field]}]}},
    }
    return {"metadata": {"name": f"pv-{number}"}, "spec": spec}


@pytest.fixture
def api() -> ClusterApi:
    """Three nodes, and a local volume on each of the last two."""
    api = ClusterApi()
    for number in range(3):
        api.put(NODE, node(f"n{number}"))
    wait = {"provisioner": "kubernetes.io/no-provisioner"}
    wait["volumeBindingMode"] = "WaitForFirstConsumer"
    api.put(STORAGE_CLASS, {"metadata": {"name": "local"}, **wait})
    for number in (1, 2):
        api.put(PERSISTENT_VOLUME, local_volume(number, f"n{number}"))
    return api


def placed(api: ClusterApi) -> dict[str, str]:
    return {name(p): p["spec"].get("nodeName", "") for p in api.all(POD)}


def bound(api: ClusterApi) -> dict[str, str]:
    claims = api.all(PERSISTENT_VOLUME_CLAIM)
    return {name(c): c["spec"].get("volumeName", "") for c in claims}


async def test_local_volumes_take_their_pods_to_their_nodes(api: ClusterApi) -> None:
    for number in range(3):
        meta = {"name": f"data-{number}", "namespace": "default"}
        claim = {"metadata": meta, "spec": WISH, "status": {"phase": "Pending"}}
        api.put(PERSISTENT_VOLUME_CLAIM, claim)
        source = {"persistentVolumeClaim": {"claimName": f"data-{number}"}}
        api.put(POD, pod(f"db-{number}", volumes=[{"name": "data", **source}]))
    async with running(api, *ALL) as loops:
        await until(lambda: sorted(placed(api).values()) == ["", "n1", "n2"], seconds=60)
        for pod_name, node_name in placed(api).items():
            volume = bound(api)[pod_name.replace("db", "data")]
            assert volume == node_name.replace("n", "pv-")
        api.put(PERSISTENT_VOLUME, local_volume(0, "n0"))
        await loops.settle(60)
        assert sorted(placed(api).values()) == ["n0", "n1", "n2"]


async def test_an_ephemeral_volume_is_made_bound_and_waited_for(api: ClusterApi) -> None:
    template = {"volumeClaimTemplate": {"spec": WISH}}
    api.put(POD, pod("web", volumes=[{"name": "scratch", "ephemeral": template}]))
    async with running(api, *ALL):
        await until(lambda: placed(api)["web"] in ("n1", "n2"), seconds=60)
        assert bound(api) == {"web-scratch": placed(api)["web"].replace("n", "pv-")}
