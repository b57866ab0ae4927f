"""Claims of edgek's own classes get volumes; when a claim is gone a node is named for its data."""

from typing import Any

import pytest

from edgek.api.meta import Key, Obj, annotations, deep_copy, labels
from edgek.kinds import EVENT, NODE, STORAGE_CLASS
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.provisioned import (
    LOCAL_PATH,
    LOCAL_PATH_CLASS,
    NFS_DIRECTORY,
    ON_DELETE,
    SHARE,
    STORAGE_DIRECTORY,
    STORAGE_NODE,
)
from edgek.kinds.storage_class import DEFAULT_CLASS
from edgek.kinds.volume_match import PROVISIONED_BY, PROVISIONER, SELECTED_NODE
from server.bootstrap import ClusterFacts, bootstrap
from server.controllers import volume_claims, volume_provisioning, volume_reclaiming, volumes
from server.controllers.volume_provisioning_plan import (
    Asked,
    Refused,
    nfs_directory,
    plan_volume,
)
from server.controllers.volume_reclaiming import TURN, is_shared, next_node
from tests.support.api import admin, open_api
from tests.support.cluster import node
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

READY = [{"type": "Ready", "status": "True"}]
NFS_CLASS: Obj = {
    "metadata": {"name": "shared"},
    "provisioner": NFS_DIRECTORY,
    "parameters": {"server": "192.0.2.9", "share": "/export/"},
    "mountOptions": ["nfsvers=4.2"],
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}


def claim(of_class: str = "local-path", **spec: Any) -> Obj:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    meta = {"name": "data", "namespace": "default", "uid": "u1"}
    return {"metadata": meta, "spec": asked | {"storageClassName": of_class} | spec}


def local_node(name: str = "n1", **marks: str) -> Obj:
    made = node(name, conditions=READY)
    made["metadata"] |= {"annotations": marks}
    made["metadata"].setdefault("labels", {})["kubernetes.io/hostname"] = name
    return made


def test_a_local_volume_lies_on_the_chosen_node_where_that_node_keeps_them() -> None:
    chosen = local_node(**{STORAGE_DIRECTORY: "/data/storage"})
    made = plan_volume(Asked(claim(), LOCAL_PATH_CLASS, chosen))
    assert made["metadata"]["name"] == "pvc-u1"
    assert labels(made) == {STORAGE_NODE: "n1"}
    assert annotations(made) == {PROVISIONED_BY: LOCAL_PATH}
    spec = made["spec"]
    assert spec["hostPath"] == {
        "path": "/data/storage/pvc-u1_default_data", "type": "DirectoryOrCreate",
    }  # fmt: skip
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["n1"]
    assert spec["claimRef"]["uid"] == "u1"


def test_a_claim_may_ask_for_the_type_local() -> None:
    asked = claim()
    asked["metadata"]["annotations"] = {"volumeType": "local"}
    made = plan_volume(Asked(asked, LOCAL_PATH_CLASS, local_node()))
    assert made["spec"]["local"] == {"path": "/var/lib/edgek/storage/pvc-u1_default_data"}


@pytest.mark.parametrize(
    ("asked", "chosen", "why"),
    [
        (claim(), None, "no node was chosen"),
        (claim(accessModes=["ReadWriteMany"]), local_node(), "access modes ReadWriteOnce and"),
        (claim(volumeMode="Block"), local_node(), "block volumes"),
        (claim(selector={"matchLabels": {"a": "b"}}), local_node(), "Selector"),
    ],
)
def test_what_a_directory_cannot_be_is_refused(asked: Obj, chosen: Obj | None, why: str) -> None:
    with pytest.raises(Refused, match=why):
        plan_volume(Asked(asked, LOCAL_PATH_CLASS, chosen))


def test_a_directory_on_a_share_says_what_becomes_of_it() -> None:
    made = plan_volume(Asked(claim("shared", accessModes=["ReadWriteMany"]), NFS_CLASS, None))
    assert made["spec"]["nfs"] == {
        "server": "192.0.2.9", "path": "/export/default-data-pvc-u1",
    }  # fmt: skip
    assert made["spec"]["mountOptions"] == ["nfsvers=4.2"]
    assert annotations(made)[SHARE] == "/export"
    assert annotations(made)[ON_DELETE] == "archive"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("${.PVC.namespace}/${.PVC.name}", "default/data"),
        ("${.PVC.namespace}/${.PVC.annotations.path}", "default/a/b"),
        ("x-${.PVC.uid}", "x-u1"),
    ],
)
def test_a_path_pattern_names_the_directory(pattern: str, expected: str) -> None:
    asked = claim()
    asked["metadata"]["annotations"] = {"path": "a/b"}
    assert nfs_directory(asked, pattern) == expected


@pytest.mark.parametrize("value", ["..", "../../etc", "a/../..", "", "/", "."])
def test_a_claim_cannot_lead_its_directory_out_of_the_share(value: str) -> None:
    asked = claim()
    asked["metadata"]["annotations"] = {"path": value}
    with pytest.raises(Refused, match="no directory inside the share"):
        nfs_directory(asked, "${.PVC.annotations.path}")


def nfs_volume(name: str, path: str, **marks: str) -> Obj:
    meta = {"name": name, "annotations": {SHARE: "/export", **marks}}
    return {"metadata": meta, "spec": {"nfs": {"server": "s", "path": path}}}


@pytest.mark.parametrize(
    ("other", "shared"),
    [("/export/a", True), ("/export/a/b", True), ("/export/ab", False), ("/export", False)],
)
def test_a_directory_that_another_volume_has_too_is_kept(other: str, shared: bool) -> None:
    own = nfs_volume("one", "/export/a")
    assert is_shared(own, [own, nfs_volume("two", other)]) is shared


def test_nodes_take_turns() -> None:
    assert [next_node(now, ["b", "a"]) for now in ("", "a", "b")] == ["a", "b", "a"]
    assert next_node("", []) == ""


BUILDERS = (
    volume_claims.build, volumes.build, volume_provisioning.build, volume_reclaiming.build,
)  # fmt: skip


def change(api: MemoryApi, kind: Any, name: str, **fields: Any) -> None:
    space = "default" if kind == CLAIM else ""
    api.put(kind, deep_copy(api.one(kind, space, name) or {}) | fields)


@pytest.mark.looptime
async def test_a_claim_is_bound_to_a_volume_of_its_node_and_loses_it_with_the_node() -> None:
    api = MemoryApi()
    api.put(STORAGE_CLASS, deep_copy(LOCAL_PATH_CLASS))
    api.put(NODE, local_node())
    async with running(api, *BUILDERS) as loops:
        api.put(CLAIM, claim())
        await loops.settle()
        assert api.all(VOLUME) == []  # its first pod has no node yet
        asked = deep_copy(api.one(CLAIM, "default", "data") or {})
        asked["metadata"]["annotations"] = {SELECTED_NODE: "n1"}
        api.put(CLAIM, asked)
        await loops.settle()
        bound = api.one(CLAIM, "default", "data")
        assert bound is not None
        assert bound["status"]["phase"] == "Bound"
        assert annotations(bound)[PROVISIONER] == LOCAL_PATH
        assert "ProvisioningSucceeded" in [e["reason"] for e in api.all(EVENT)]
        api.remove(CLAIM, "default", "data")
        await loops.settle()
        (left,) = api.all(VOLUME)  # for its node to take away, which may be off
        assert left["status"]["phase"] == "Released"
        api.remove(NODE, "", "n1")
        await loops.settle()
        assert api.all(VOLUME) == []


@pytest.mark.looptime
async def test_a_claim_whose_node_is_gone_may_go_elsewhere() -> None:
    api = MemoryApi()
    api.put(STORAGE_CLASS, deep_copy(LOCAL_PATH_CLASS))
    async with running(api, *BUILDERS) as loops:
        asked = claim()
        asked["metadata"]["annotations"] = {SELECTED_NODE: "gone"}
        api.put(CLAIM, asked)
        await loops.settle()
        assert SELECTED_NODE not in annotations(api.one(CLAIM, "default", "data") or {})


@pytest.mark.looptime
async def test_another_node_is_asked_where_one_does_not_take_a_directory_away() -> None:
    api = MemoryApi()
    api.put(STORAGE_CLASS, NFS_CLASS)
    for name in ("n1", "n2"):
        api.put(NODE, local_node(name))
    async with running(api, *BUILDERS) as loops:
        api.put(CLAIM, claim("shared"))
        await loops.settle()
        api.remove(CLAIM, "default", "data")
        await loops.settle()
        assert labels(api.all(VOLUME)[0]) == {STORAGE_NODE: "n1"}
        await loops.settle(TURN.total_seconds() + 5)
        assert labels(api.all(VOLUME)[0]) == {STORAGE_NODE: "n2"}


async def test_the_default_class_is_made_once_and_stays_as_people_want_it() -> None:
    facts = ClusterFacts(
        cluster_cidr="10.42.0.0/16", service_cidr="10.43.0.0/16", cluster_dns="10.43.0.10",
        cluster_domain="cluster.local", extension_authentication={}, group_versions=(),
        local_storage=True,
    )  # fmt: skip
    async with open_api() as api:
        client = admin(api)
        await bootstrap(client, api.reader, facts)
        key = Key("", "local-path")
        assert annotations(await client.get(STORAGE_CLASS, key))[DEFAULT_CLASS] == "true"
        other = {"metadata": {"annotations": {DEFAULT_CLASS: "false"}}}
        await client.patch(STORAGE_CLASS, key, other)
        await bootstrap(client, api.reader, facts)
        assert annotations(await client.get(STORAGE_CLASS, key))[DEFAULT_CLASS] == "false"
