"""Where a pod's storage lets it be, in upstream's words."""

from typing import Any

import pytest

from edgek.api.meta import Key, Obj
from server.scheduler.volume_choice import VolumeChoice, choose_volumes
from tests.support.cluster import node, pod
from tests.support.placing import Cluster

ZONE = "topology.kubernetes.io/zone"
RWOP = "ReadWriteOncePod"


def using(name: str, *claims: str, **more: Any) -> Obj:
    volumes = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
    return pod(name, volumes=volumes, **more)


def claim(name: str, *, volume: str = "", storage_class: str = "", **more: Any) -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec |= {"volumeName": volume, "storageClassName": storage_class} | more.pop("spec", {})
    status = {"phase": "Bound" if volume else "Pending"} | more.pop("status", {})
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", **more}
    return {"metadata": meta, "spec": spec, "status": status}


def volume(name: str, *, on: str = "", **more: Any) -> Obj:
    meta = {"name": name, "labels": more.pop("labels", {})}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": more.pop("size", "1Gi")},
        "storageClassName": more.pop("storage_class", "local"),
        **more,
    }
    if on:
        field = {"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}
        terms = [{"matchExpressions": [field]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return {"metadata": meta, "spec": spec, "status": {"phase": "Available"}}


def storage_class(name: str, provisioner: str = "example.com/disks", **more: Any) -> Obj:
    return {
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
        **more,
    }


LOCAL = storage_class("local", "kubernetes.io/no-provisioner")


def driver(node_name: str, count: int) -> Obj:
    one = {"name": "example.com/disks", "nodeID": "x", "allocatable": {"count": count}}
    return {"metadata": {"name": node_name}, "spec": {"drivers": [one]}}


def csi(name: str) -> Obj:
    return volume(name, csi={"driver": "example.com/disks", "volumeHandle": name})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(node("a", labels={ZONE: "za"}), node("b", labels={ZONE: "zb"}))


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        pytest.param(None, 'persistentvolumeclaim "data" not found', id="no claim"),
        pytest.param(
            claim("data"), "pod has unbound immediate PersistentVolumeClaims", id="unbound"
        ),
        pytest.param(
            claim("data", storage_class="gone"),
            "pod has unbound immediate PersistentVolumeClaims",
            id="no such class",
        ),
        pytest.param(
            claim("data", storage_class="local", spec={"volumeName": "pv"}),
            "pod has unbound immediate PersistentVolumeClaims",
            id="prebound, whatever its class",
        ),
        pytest.param(
            claim("data", volume="pv", deletionTimestamp="2026-01-01T00:00:00Z"),
            'persistentvolumeclaim "data" is being deleted',
            id="going",
        ),
        pytest.param(
            claim("data", volume="pv", status={"phase": "Lost"}),
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "pv"',
            id="lost",
        ),
    ],
)
def test_what_is_wrong_with_a_claim_refuses_all_nodes(
    cluster: Cluster, stored: Obj | None, words: str
) -> None:
    cluster.store(claims=[stored] if stored else [], classes=[LOCAL])
    assert cluster.why(using("web", "data")) == f"0/2 nodes are available: {words}."


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        pytest.param(
            None,
            "waiting for ephemeral volume controller to create the persistentvolumeclaim "
            '"web-scratch"',
            id="not made yet",
        ),
        pytest.param(
            claim("web-scratch", volume="pv"),
            "PVC default/web-scratch was not created for pod default/web (pod is not owner)",
            id="someone else's",
        ),
    ],
)
def test_an_ephemeral_volume_needs_its_own_claim(
    cluster: Cluster, stored: Obj | None, words: str
) -> None:
    cluster.store(claims=[stored] if stored else [], volumes=[volume("pv")])
    web = pod("web", volumes=[{"name": "scratch", "ephemeral": {}}])
    assert cluster.why(web) == f"0/2 nodes are available: {words}."
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "uid-web"}
    cluster.store(claims=[claim("web-scratch", volume="pv", ownerReferences=[owner])])
    assert cluster.place(web) in ("a", "b")


def test_a_bound_volume_draws_its_pod_to_where_it_is(cluster: Cluster) -> None:
    cluster.store(claims=[claim("data", volume="pv")], volumes=[volume("pv", on="b")])
    assert [cluster.place(using(f"web-{i}", "data")) for i in range(3)] == ["b", "b", "b"]
    cluster.snapshot.set_node(node("b", unschedulable=True))
    assert cluster.why(using("web-9", "data")) == (
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, "
        "1 node(s) were unschedulable."
    )


def test_a_volume_that_is_not_there_refuses_all_nodes(cluster: Cluster) -> None:
    cluster.store(claims=[claim("data", volume="pv")])
    assert cluster.why(using("web", "data")) == (
        "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to "
        "non-existent pv(s)."
    )


def test_a_waiting_claim_needs_a_volume_or_a_provisioner_on_the_node(cluster: Cluster) -> None:
    cluster.store(claims=[claim("data", storage_class="local")], classes=[LOCAL])
    assert cluster.why(using("web", "data")) == (
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    )
    cluster.store(volumes=[volume("pv", on="b")])
    assert cluster.place(using("web", "data")) == "b"


@pytest.mark.parametrize(
    ("volumes", "chosen"),
    [
        pytest.param([volume("big", size="5Gi"), volume("fit", size="2Gi")], "fit", id="smallest"),
        pytest.param([volume("small", size="500Mi")], None, id="too small"),
        pytest.param([volume("other", storage_class="fast")], None, id="another class"),
        pytest.param([volume("block", volumeMode="Block")], None, id="another mode"),
        pytest.param([volume("ro", accessModes=["ReadOnlyMany"])], None, id="access modes"),
        pytest.param([volume("far", on="b")], None, id="elsewhere"),
        pytest.param(
            [
                volume("fit"),
                volume("mine", size="9Gi", claimRef={"namespace": "default", "name": "data"}),
            ],
            "mine",
            id="the one that names the claim",
        ),
        pytest.param(
            [volume("taken", claimRef={"namespace": "default", "name": "other"})],
            None,
            id="another claim's",
        ),
    ],
)
def test_which_volume_a_waiting_claim_gets(
    cluster: Cluster, volumes: list[Obj], chosen: str | None
) -> None:
    cluster.store(claims=[claim("data", storage_class="local")], classes=[LOCAL], volumes=volumes)
    info = cluster.snapshot.node("a")
    assert info is not None
    key = Key("default", "data")
    found = choose_volumes([key], info, cluster.snapshot.storage)
    assert found == (VolumeChoice(node="a", static=((key, chosen),)) if chosen else None)


def test_no_volume_is_given_twice(cluster: Cluster) -> None:
    cluster.store(
        claims=[claim("one", storage_class="local"), claim("two", storage_class="local")],
        classes=[LOCAL],
        volumes=[volume("pv")],
    )
    assert "2 node(s) didn't find available persistent volumes to bind" in cluster.why(
        using("web", "one", "two")
    )
    cluster.snapshot.storage.taken["pv"] = Key("default", "other")
    assert "2 node(s) didn't find" in cluster.why(using("web", "one"))


def test_a_provisioner_is_asked_where_its_class_allows(cluster: Cluster) -> None:
    allowed = [{"matchLabelExpressions": [{"key": ZONE, "values": ["zb"]}]}]
    cluster.store(
        claims=[claim("data", storage_class="fast")],
        classes=[storage_class("fast", allowedTopologies=allowed)],
    )
    assert cluster.place(using("web", "data")) == "b"


def test_a_claim_whose_node_is_selected_stays_with_it(cluster: Cluster) -> None:
    selected = {"volume.kubernetes.io/selected-node": "b"}
    cluster.store(
        claims=[claim("data", storage_class="fast", annotations=selected)],
        classes=[storage_class("fast")],
    )
    assert cluster.place(using("web", "data")) == "b"


def test_zones_of_a_volume_are_those_of_its_pods_node(cluster: Cluster) -> None:
    cluster.store(
        claims=[claim("data", volume="pv")],
        volumes=[volume("pv", labels={"failure-domain.beta.kubernetes.io/zone": "zb__zc"})],
    )
    assert cluster.place(using("web", "data")) == "b"
    cluster.snapshot.set_node(node("b", labels={ZONE: "zx"}))
    assert cluster.why(using("more", "data")) == (
        "0/2 nodes are available: 2 node(s) had no available volume zone."
    )


def test_a_claim_for_one_pod_is_used_by_one(cluster: Cluster) -> None:
    cluster.store(
        claims=[claim("data", volume="pv", spec={"accessModes": [RWOP]})], volumes=[volume("pv")]
    )
    assert cluster.place(using("one", "data")) in ("a", "b")
    assert cluster.why(using("two", "data")) == (
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with "
        "ReadWriteOncePod access mode already in-use by another pod."
    )
    assert getattr(cluster.preempt(using("two", "data", priority=1)), "victims", None)
    cluster.snapshot.remove_pod("uid-one")
    assert cluster.place(using("two", "data")) in ("a", "b")


@pytest.mark.parametrize(
    ("disk", "other", "clash"),
    [
        ({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "d"}}, True),
        (
            {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
            {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
            False,
        ),
        (
            {"awsElasticBlockStore": {"volumeID": "v", "readOnly": True}},
            {"awsElasticBlockStore": {"volumeID": "v", "readOnly": True}},
            True,
        ),
        ({"iscsi": {"iqn": "i"}}, {"iscsi": {"iqn": "j"}}, False),
        (
            {"rbd": {"monitors": ["m", "n"], "image": "i", "pool": "p"}},
            {"rbd": {"monitors": ["n"], "image": "i", "pool": "p"}},
            True,
        ),
    ],
)
def test_disks_that_one_pod_can_have_at_a_time(disk: Obj, other: Obj, clash: bool) -> None:
    cluster = Cluster(node("a"))
    cluster.put(pod("one", volumes=[{"name": "d", **disk}]), "a")
    placed = cluster.place(pod("two", volumes=[{"name": "d", **other}]))
    words = "0/1 nodes are available: 1 node(s) had no available disk."
    assert getattr(placed, "message", placed) == (words if clash else "a")


def test_a_node_attaches_no_more_volumes_than_its_driver_can(cluster: Cluster) -> None:
    names = ("one", "two", "three")
    cluster.store(
        claims=[claim(n, volume=f"pv-{n}") for n in names],
        volumes=[csi(f"pv-{n}") for n in names],
        drivers=[driver("a", 1), driver("b", 1)],
    )
    first = cluster.place(using("p1", "one"))
    assert cluster.place(using("p2", "two")) != first
    assert cluster.why(using("p3", "three")) == (
        "0/2 nodes are available: 2 node(s) exceed max volume count."
    )
    assert cluster.place(using("p4", "one")) == first  # it is attached there already
