"""Pods with claims on a node in memory: what they wait for, what they get, what they leave."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.pods.payload import pod_user
from agent.pods.references import references
from agent.pods.sources import Ref
from agent.pods.volumes.empty_dir import pod_memory_limit
from agent.pods.volumes.plugin import VolumeError
from edgek.aio.clock import FakeClock
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Key, Obj
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds import POD
from edgek.kinds.provisioned import LOCAL_PATH
from edgek.kinds.volume_match import PROVISIONED_BY
from tests.support.memory_api import fail
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

USES = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def user(name: str = "web", volume: Obj = USES) -> Obj:
    pod = make_pod(name, volumes=[volume])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return pod


def claim(volume: str = "", **meta: Any) -> Obj:
    named = {"name": "data", "namespace": "default", "uid": "uid-data", **meta}
    phase = "Bound" if volume else "Pending"
    return {"metadata": named, "spec": {"volumeName": volume}, "status": {"phase": phase}}


def local_path(root: Path, *modes: str, name: str = "pv") -> Obj:
    path = root / f"storage/{name}_default_data"
    ref = {"namespace": "default", "name": "data", "uid": "uid-data"}
    return {
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: LOCAL_PATH}},
        "spec": {"hostPath": {"path": str(path), "type": "DirectoryOrCreate"}, "claimRef": ref,
                 "accessModes": list(modes) or ["ReadWriteOnce"]},
    }  # fmt: skip


def running(node: Node, name: str = "web") -> bool:
    return node.pod(name) is not None and node.status(name).get("phase") == "Running"


@pytest.mark.looptime
async def test_a_pod_waits_for_its_claim_and_starts_when_it_is_bound(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(CLAIM, claim())
        node.api.put(POD, user())
        await node.until(lambda: "FailedMount" in node.reasons())
        assert node.messages("FailedMount") == [
            "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], "
            "failed to process volumes=[data]: error processing PVC default/data: PVC is not bound"
        ]
        node.api.put(VOLUME, local_path(tmp_path))
        node.api.put(CLAIM, claim("pv"))
        await node.until(lambda: running(node))
        directory = tmp_path / "storage/pv_default_data"
        assert directory.stat().st_mode & 0o7777 == 0o777
        (spec,) = node.runtime.specs.values()
        assert str(directory) in [m.source for m in spec.mounts]
        told = len(node.reasons())
        node.api.put(CLAIM, claim("pv", deletionTimestamp="2026-01-01T00:00:00Z"))
        await node.until(lambda: node.sync.parts.queue.idle)
        assert len(node.reasons()) == told  # it keeps what it has
        node.delete(grace=1)
        await node.until(lambda: node.pod() is None)
        assert directory.is_dir()  # it belongs to the claim


@pytest.mark.looptime
async def test_one_pod_alone_has_a_read_write_once_pod_claim(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(VOLUME, local_path(tmp_path, "ReadWriteOncePod"))
        node.api.put(CLAIM, claim("pv"))
        node.api.put(POD, user("web"))
        await node.until(lambda: running(node))
        node.api.put(POD, user("other"))
        await node.until(lambda: "FailedMount" in node.reasons())
        assert node.messages("FailedMount")[0].endswith(
            "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
        )
        node.delete(grace=1)
        await node.until(lambda: running(node, "other"), within=300)


@pytest.mark.looptime
async def test_the_next_agent_leaves_such_a_claim_to_the_pod_that_runs_with_it(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.api.put(VOLUME, local_path(tmp_path, "ReadWriteOncePod"))
        node.api.put(CLAIM, claim("pv"))
        node.api.put(POD, user("web"))
        await node.until(lambda: running(node))
    node.api.put(POD, user("a-first"))
    again = running_node(
        tmp_path, clock=clock, api=node.api, runtime=node.runtime, network=node.network
    )
    async with again as node:
        await node.until(lambda: node.messages("FailedMount"))
        assert not running(node, "a-first")
        assert running(node)


@pytest.mark.looptime
async def test_a_volume_of_other_nodes_is_not_mounted_on_this_one(tmp_path: Path) -> None:
    here = {"metadata": {"name": "node1", "labels": {"zone": "a"}}}
    async with running_node(tmp_path, clock=FakeClock(), node=here) as node:
        volume = local_path(tmp_path)
        term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
        volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
        node.api.put(VOLUME, volume)
        node.api.put(CLAIM, claim("pv"))
        node.api.put(POD, user())
        await node.until(lambda: node.messages("FailedMount"))
        assert node.messages("FailedMount") == [
            'MountVolume.NodeAffinity check failed for volume "pv" : no matching NodeSelectorTerms'
        ]
        here["metadata"]["labels"]["zone"] = "b"
        await node.until(lambda: running(node))


@pytest.mark.looptime
async def test_a_claim_of_another_claims_volume_is_not_mounted(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(VOLUME, local_path(tmp_path))
        node.api.put(CLAIM, claim("pv", uid="uid-thief"))
        node.api.put(POD, user())
        await node.until(lambda: "FailedMount" in node.reasons())
        assert "unexpected claimRef UID" in node.messages("FailedMount")[0]
        assert not (tmp_path / "storage").exists()


@pytest.mark.looptime
async def test_what_is_remembered_of_a_claim_is_enough_with_no_server_in_reach(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        for plural in ("persistentvolumeclaims", "persistentvolumes"):
            gone = ServiceUnavailable("no server in reach")
            node.api.before.append(fail("GET", plural, gone, times=1_000_000))
        sources = node.sync.parts.sources
        sources.remember(of_before(tmp_path), pods=["uid-web"])
        node.api.put(POD, user())
        await node.until(lambda: running(node))
        assert {obj["metadata"]["name"] for _, obj in sources.known()} == {"data", "pv"}


def of_before(tmp_path: Path) -> dict[Ref, Obj]:
    return {
        Ref(CLAIM, Key("default", "data")): claim("pv"),
        Ref(VOLUME, Key("", "pv")): local_path(tmp_path),
    }


@pytest.mark.looptime
async def test_a_pod_that_the_server_told_of_never_gets_the_volume_of_an_earlier_claim(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        for plural in ("persistentvolumeclaims", "persistentvolumes"):
            slow = ServiceUnavailable("not yet")
            node.api.before.append(fail("GET", plural, slow, times=1_000_000))
        node.sync.parts.sources.remember(of_before(tmp_path), pods=["uid-of-another"])
        node.api.put(POD, user())
        await asyncio.sleep(5)
        assert not (tmp_path / "storage").exists()
        node.api.put(CLAIM, claim("new"))
        node.api.put(VOLUME, local_path(tmp_path, name="new"))
        node.api.before.clear()
        await node.until(lambda: running(node), within=60)
        assert [path.name.split("_")[0] for path in (tmp_path / "storage").iterdir()] == ["new"]


async def hangs_on_nfs(
    source: str, target: Path, *, kind: str,
    options: tuple[str, ...] = (), enter: tuple[str, ...] = (),
) -> None:  # fmt: skip
    if kind == "nfs":
        await asyncio.Event().wait()


@pytest.mark.looptime
async def test_a_file_server_that_hangs_holds_up_no_other_pod_and_no_deletion(
    tmp_path: Path,
) -> None:
    share = {"name": "data", "nfs": {"server": "192.0.2.9", "path": "/x"}}
    async with running_node(tmp_path, clock=FakeClock(), mount=hangs_on_nfs) as node:
        for number in range(12):  # more than there are workers
            node.api.put(POD, user(f"stuck-{number}", volume=share))
        await node.until(lambda: (tmp_path / "pods/uid-stuck-11/volumes/nfs/data").is_dir())
        node.api.put(POD, user("well", volume={"name": "data"}))
        await node.until(lambda: running(node, "well"))
        node.delete("stuck-0", grace=1)
        await node.until(lambda: node.pod("stuck-0") is None)
        assert not (tmp_path / "pods/uid-stuck-0").exists()


@pytest.mark.looptime
@pytest.mark.parametrize("kind", ["iscsi", "rbd", "awsElasticBlockStore"])
async def test_types_that_there_are_not_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, user(volume={"name": "data", kind: {}}))
        await node.until(lambda: "FailedMount" in node.reasons())
        assert node.messages("FailedMount") == [
            f'MountVolume.SetUp failed for volume "data" : volumes of type {kind} are not supported'
        ]


def test_a_claim_leads_to_its_volume_and_that_to_its_secrets() -> None:
    volume = {"metadata": {"name": "pv"}, "spec": {
        "csi": {"nodeStageSecretRef": {"name": "s", "namespace": "vault"}}}}  # fmt: skip
    known = {("PersistentVolumeClaim", "data"): claim("pv"), ("PersistentVolume", "pv"): volume}
    found = references(user(), lambda kind, _, name: known.get((kind.kind, name)))
    assert {(r.kind.kind, str(r.key)) for r in found} == {
        ("PersistentVolumeClaim", "default/data"),
        ("PersistentVolume", "pv"),
        ("Secret", "vault/s"),
    }


@pytest.mark.parametrize(
    ("of_pod", "of_containers", "expected"),
    [(None, (None, None), None), (5, (None, None), 5), (5, (6, None), None), (None, (7, 7), 7)],
)
def test_the_one_user_of_a_pod_owns_its_tokens(
    of_pod: int | None, of_containers: tuple[int | None, ...], expected: int | None
) -> None:
    pod = make_pod("web", "a", "b", securityContext={"runAsUser": of_pod})
    for container, own in zip(pod["spec"]["containers"], of_containers, strict=True):
        container["securityContext"] = {"runAsUser": own}
    assert pod_user(pod) == expected


def test_memory_of_a_volume_is_bounded_only_where_all_containers_are() -> None:
    pod = make_pod("web", "a", "b")
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Mi"}}
    assert pod_memory_limit(pod) == 0
    pod["spec"]["containers"][1]["resources"] = {"limits": {"memory": "2Mi"}}
    assert pod_memory_limit(pod) == 3 * 1024 * 1024


def test_nothing_is_ready_before_it_is_set_up(tmp_path: Path) -> None:
    from agent.pods.volumes.volumes import Volumes

    volumes = Volumes(tmp_path, (), tokens=None, mount=None)  # type: ignore[arg-type]
    with pytest.raises(VolumeError):
        volumes.get("uid", "data")
