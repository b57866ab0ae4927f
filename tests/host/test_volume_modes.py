"""How volumes are mounted, owned and kept on a real node: what one sees only with a kernel."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgek.kinds import CLUSTER_TRUST_BUNDLE
from tests.support.images import BUSYBOX, HELLO_1
from tests.support.real_cluster import BIN, RealCluster, real_cluster
from tests.support.testbed import missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
IDLE = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]


@pytest.fixture(scope="module")
def huge_pages() -> Iterator[int]:
    """How many there are beside those of the machine's own: what the kernel can spare now."""
    before = int(HUGE_PAGES.read_text())
    try:
        HUGE_PAGES.write_text(str(before + 4))
        yield int(HUGE_PAGES.read_text())
    finally:
        HUGE_PAGES.write_text(str(before))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, huge_pages: int) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("modes"), nodes=1) as up:
        yield up


def container(name: str, *mounts: dict[str, Any], **more: Any) -> dict[str, Any]:
    volumes = [{"name": "v", "mountPath": "/v", **m} for m in mounts]
    return {"name": name, "image": BUSYBOX, "command": IDLE, "volumeMounts": volumes, **more}


def pod(
    name: str, volume: dict[str, Any], *containers: dict[str, Any], **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": list(containers), "volumes": [{"name": "v", **volume}],
                 "terminationGracePeriodSeconds": 1, **spec},
    }  # fmt: skip


def start(cluster: RealCluster, *bodies: dict[str, Any]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))
    for body in bodies:
        name = body["metadata"]["name"]
        cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def sh(cluster: RealCluster, pod: str, container: str, script: str) -> str:
    return cluster.kubectl("exec", pod, "-c", container, "--", "sh", "-c", f"{script} 2>&1; true")


def test_mounts_pass_between_host_and_pods_as_far_as_is_asked(cluster: RealCluster) -> None:
    """And a tree that is read-only with all below it stays so, whatever is mounted in it."""
    shared = {"hostPath": {"path": "/var/lib/kubelet/shared", "type": "DirectoryOrCreate"}}
    start(cluster, pod(
        "spread", shared,
        container("maker", {"mountPropagation": "Bidirectional"},
                  securityContext={"privileged": True}),
        container("seer", {"mountPropagation": "HostToContainer"}),
        container("alone", {}),
    ))  # fmt: skip
    made = "mkdir /v/disk && mount -t tmpfs disk /v/disk && echo there >/v/disk/file"
    assert sh(cluster, "spread", "maker", made) == ""
    node = cluster.bed.nodes[0]
    assert (
        node.run("cat", "/var/lib/kubelet/shared/disk/file", capture_output=True).stdout
        == "there\n"
    )
    assert sh(cluster, "spread", "seer", "cat /v/disk/file") == "there\n"
    assert sh(cluster, "spread", "alone", "ls /v/disk") == ""
    read_only = {"readOnly": True}
    start(cluster, pod(
        "readers", shared,
        container("all", read_only | {"recursiveReadOnly": "Enabled"}),
        container("part", read_only | {"recursiveReadOnly": "IfPossible", "subPath": "disk"}),
        container("top", read_only),
    ))  # fmt: skip
    assert sh(cluster, "readers", "all", "cat /v/disk/file") == "there\n"
    assert "Read-only" in sh(cluster, "readers", "all", "touch /v/disk/x")
    assert "Read-only" in sh(cluster, "readers", "part", "touch /v/x")
    assert sh(cluster, "readers", "top", "touch /v/disk/x") == ""  # as Kubernetes always was
    told = {
        status["name"]: status["volumeMounts"][0]["recursiveReadOnly"]
        for status in cluster.json("pod", "readers")["status"]["containerStatuses"]
    }
    assert told == {"all": "Enabled", "part": "Enabled", "top": "Disabled"}
    handlers = cluster.json("node", node.name)["status"]["runtimeHandlers"]
    assert all(handler["features"]["recursiveReadOnlyMounts"] for handler in handlers)
    private = pod("private", {"hostPath": {"path": "/var/log"}},
                  container("main", {"mountPropagation": "Bidirectional"},
                            securityContext={"privileged": True}))  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(private))
    why = "but it is not a shared mount"
    cluster.wait("it is refused", lambda: why in cluster.kubectl("get", "events"))
    cluster.kubectl("delete", "pod", "readers", "spread", "private")
    node.run("umount", "-l", "/var/lib/kubelet/shared/disk")


def test_a_trust_bundle_of_a_signer_is_a_file_that_follows_its_bundles(
    cluster: RealCluster,
) -> None:
    first, bundle = CLUSTER_TRUST_BUNDLE.example, CLUSTER_TRUST_BUNDLE.example["spec"]
    other = {**first, "metadata": {"name": "example.com:ours:other", "labels": {"env": "test"}}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(other))
    source = {"path": "ca.pem", "signerName": bundle["signerName"], "optional": True}
    live = {"labelSelector": {"matchLabels": {"env": "live"}}}
    every = {"path": "all.pem", "signerName": bundle["signerName"], "labelSelector": {}}
    volume = {"projected": {"sources": [
        {"clusterTrustBundle": source | live}, {"clusterTrustBundle": every},
    ]}}  # fmt: skip
    start(cluster, pod("trusting", volume, container("main", {})))
    assert sh(cluster, "trusting", "main", "cat /v/ca.pem") == ""
    assert sh(cluster, "trusting", "main", "cat /v/all.pem") == bundle["trustBundle"]
    cluster.kubectl("label", "clustertrustbundle", "example.com:ours:other", "--overwrite",
                    "env=live")  # fmt: skip
    cluster.wait(
        "the file follows",
        lambda: sh(cluster, "trusting", "main", "cat /v/ca.pem") == bundle["trustBundle"],
    )
    cluster.kubectl("delete", "pod/trusting", "clustertrustbundle/example.com:ours:other")


def test_a_part_of_an_image_is_mounted_and_nothing_in_it_can_be_run(cluster: RealCluster) -> None:
    image = {"image": {"reference": BUSYBOX, "pullPolicy": "IfNotPresent"}}
    main = container("main", {}, {"mountPath": "/bin2", "subPath": "bin"})
    start(cluster, pod("files", image, main))
    assert "busybox" in sh(cluster, "files", "main", "ls /bin2")
    assert "Read-only" in sh(cluster, "files", "main", "touch /v/x")
    assert "Permission denied" in sh(cluster, "files", "main", "/bin2/busybox true")
    wanted = {"image": {"reference": "example.invalid/absent:1", "pullPolicy": "Never"}}
    absent = pod("absent", wanted, container("main", {}), container("other"))
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(absent))
    waits = "{.status.containerStatuses[0].state.waiting.reason}"
    cluster.kubectl("wait", "pod/absent", f"--for=jsonpath={waits}=ErrImageNeverPull",
                    "--timeout=30s")  # fmt: skip
    cluster.kubectl("delete", "pod", "files", "absent")


def test_an_image_that_has_lost_its_name_stays_while_it_is_mounted(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    image = {"image": {"reference": HELLO_1, "pullPolicy": "IfNotPresent"}}
    start(cluster, pod("kept", image, container("main", {})))
    before = sh(cluster, "kept", "main", "ls -R /v")
    remove = (BIN / "edgek", "images", "rm", HELLO_1)
    refused = node.run(*remove, capture_output=True, check=False)
    assert "is in use by a volume of a pod" in refused.stdout + refused.stderr
    node.run("podman", "untag", HELLO_1, capture_output=True)
    node.run(BIN / "edgek", "images", "prune", capture_output=True)
    assert sh(cluster, "kept", "main", "ls -R /v") == before
    unnamed = ("podman", "images", "--filter", "dangling=true", "--quiet")
    assert node.run(*unnamed, capture_output=True).stdout.strip()
    cluster.kubectl("delete", "pod", "kept")


def test_an_ephemeral_claim_is_made_for_a_pod_and_goes_with_it(cluster: RealCluster) -> None:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    start(cluster, pod("brief", {"ephemeral": {"volumeClaimTemplate": {"spec": asked}}},
                       container("main", {})))  # fmt: skip
    sh(cluster, "brief", "main", "echo kept >/v/note")
    (claim,) = cluster.json("pvc")["items"]
    assert claim["metadata"]["name"] == "brief-v"
    assert claim["status"]["phase"] == "Bound"
    cluster.kubectl("delete", "pod", "brief")
    cluster.wait("its volume is gone", lambda: not cluster.json("pv")["items"])
    assert cluster.json("pvc")["items"] == []


def test_huge_pages_are_offered_counted_and_mounted(cluster: RealCluster, huge_pages: int) -> None:
    if huge_pages < 2:
        pytest.skip("the kernel has no huge pages to spare")
    status = cluster.json("node", cluster.bed.nodes[0].name)["status"]
    offered = f"{2 * huge_pages}Mi"
    assert status["capacity"]["hugepages-2Mi"] == offered
    assert status["allocatable"]["hugepages-2Mi"] == offered
    amounts = {"hugepages-2Mi": "4Mi", "memory": "32Mi", "cpu": "10m"}
    start(cluster, pod("huge", {"emptyDir": {"medium": "HugePages"}},
                       container("main", {}, resources={"limits": amounts})))  # fmt: skip
    (line,) = sh(cluster, "huge", "main", "grep ' /v ' /proc/mounts").splitlines()
    assert "hugetlbfs" in line
    assert "pagesize=2M" in line
    cluster.kubectl("delete", "pod", "huge")


def test_a_claim_is_left_to_its_pod_by_the_next_agent(cluster: RealCluster) -> None:
    """ReadWriteOncePod, and an fsGroup that takes only what is not its own yet."""
    spec = {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Mi"}},
            "storageClassName": "here", "volumeName": "here"}  # fmt: skip
    node = cluster.bed.nodes[0]
    node.run("mkdir", "-p", "/var/log/here/old")
    hosts = [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}]}]  # fmt: skip
    volume = {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOncePod"],
              "storageClassName": "here", "local": {"path": "/var/log/here"},
              "nodeAffinity": {"required": {"nodeSelectorTerms": hosts}}}  # fmt: skip
    for kind, body in (("PersistentVolume", volume), ("PersistentVolumeClaim", spec)):
        made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "here"}, "spec": body}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    uses = {"persistentVolumeClaim": {"claimName": "here"}}
    group = {"fsGroup": 4321, "fsGroupChangePolicy": "OnRootMismatch"}
    start(cluster, pod("holder", uses, container("main", {}), securityContext=group))
    owners = "stat -c %g /v /v/old"
    assert sh(cluster, "holder", "main", owners) == "4321\n4321\n"
    sh(cluster, "holder", "main", "chgrp 7 /v/old")
    started = cluster.json("pod", "holder")["status"]["containerStatuses"][0]["containerID"]
    cluster.stop(node)
    second = pod("a-second", uses, container("main", {}), nodeName=node.name, securityContext=group)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(second))
    cluster.start_agent(node)
    refused = "already in use by another pod"
    cluster.wait("the second waits", lambda: refused in cluster.kubectl("get", "events"))
    status = cluster.json("pod", "holder")["status"]["containerStatuses"][0]
    assert (status["containerID"], status["restartCount"]) == (started, 0)
    assert "7" in sh(cluster, "holder", "main", "stat -c %g /v/old")
    cluster.kubectl("delete", "pod", "holder")
    cluster.kubectl("wait", "pod/a-second", "--for=condition=Ready", "--timeout=60s")
    assert sh(cluster, "a-second", "main", owners) == "4321\n7\n"  # its root was right already
    cluster.kubectl("delete", "pod", "a-second")
    cluster.kubectl("delete", "pvc/here", "pv/here")
