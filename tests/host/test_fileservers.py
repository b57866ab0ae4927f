"""glusterfs and cephfs volumes on real servers; what happens when those go away."""

import shutil
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.file_pods import (
    apply,
    apply_pod,
    bound,
    clients,
    refusal,
    start,
    wait_for_nothing,
)
from tests.support.fileservers import VOLUME, FileServer, gluster
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

WHY_NOT = missing_need() or (
    "" if shutil.which("glusterd") else "needs glusterd (apt-get install glusterfs-server)"
)
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("files"), nodes=1) as up:
        yield up


@pytest.fixture(scope="module")
def server(cluster: RealCluster) -> Iterator[FileServer]:
    with gluster(cluster.bed) as up:
        subsets = [{"addresses": [{"ip": up.ip}], "ports": [{"port": 1}]}]
        apply(cluster, kind="Endpoints", name="files", subsets=subsets)
        subsets[0]["addresses"] = [{"ip": "10.98.0.99"}]
        apply(cluster, kind="Endpoints", name="gone", subsets=subsets)
        yield up


def share(**more: Any) -> dict[str, Any]:
    return {"glusterfs": {"endpoints": "files", "path": VOLUME, **more}}


def test_pods_share_a_gluster_volume_and_one_only_reads_it(
    cluster: RealCluster, server: FileServer
) -> None:
    kubectl = cluster.kubectl
    start(cluster, "writer", share())
    kubectl("exec", "writer", "--", "sh", "-c", "echo kept >/v/note")
    assert (server.space.dir / "brick/note").read_text() == "kept\n"
    start(cluster, "reader", share(readOnly=True))
    assert kubectl("exec", "reader", "--", "cat", "/v/note") == "kept\n"
    assert "Read-only" in kubectl("exec", "reader", "--", "touch", "/v/x", ok=False)
    kubectl("delete", "pod", "writer", "reader")
    wait_for_nothing(cluster)


def test_options_of_a_volume_reach_the_mount(cluster: RealCluster, server: FileServer) -> None:
    source = share()
    source["glusterfs"]["endpointsNamespace"] = "default"
    start(cluster, "options", bound(cluster, "tuned", source, mountOptions=["attribute-timeout=3"]))
    [client] = clients(cluster)
    line = cluster.bed.nodes[0].run("cat", f"/proc/{client}/cmdline", capture_output=True).stdout
    assert "--attribute-timeout=3" in line
    cluster.kubectl("delete", "pod", "options")
    cluster.kubectl("delete", "pvc,pv", "tuned")


def test_a_mount_outlives_the_agent_and_ends_with_its_pod(
    cluster: RealCluster, server: FileServer
) -> None:
    node = cluster.bed.nodes[0]
    start(cluster, "lasting", share())
    before = clients(cluster)
    cluster.stop(node, signal.SIGKILL)
    cluster.kubectl("exec", "lasting", "--", "true", ok=False)
    cluster.start_agent(node)
    look = ("exec", "lasting", "--", "sh", "-c", "ls /v && echo there")
    cluster.wait("it can be asked", lambda: cluster._try(*look))
    cluster.kubectl("exec", "lasting", "--", "touch", "/v/after")
    assert clients(cluster) == before
    cluster.stop(node)
    cluster.start_agent(node)
    cluster.kubectl("delete", "pod", "lasting", "--timeout=30s")
    wait_for_nothing(cluster)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (share(path="none"), "failed to fetch volume file"),
        (share(endpoints="nobody"), 'no endpoint address found in endpoints "default/nobody"'),
        (share(endpoints="gone"), "is glusterd running at 10.98.0.99?"),
        (share(path="vol --log-file=/x"), "is no name of a volume"),
    ],
    ids=["unknown-volume", "no-endpoints", "no-server", "odd-name"],
)
def test_what_is_wrong_with_a_gluster_volume_is_said(
    cluster: RealCluster, server: FileServer, request: pytest.FixtureRequest,
    source: dict[str, Any], said: str,
) -> None:  # fmt: skip
    name = request.node.callspec.id
    apply_pod(cluster, name, source)
    try:
        assert said in refusal(cluster, name)
    finally:
        cluster.kubectl("delete", "pod", name, "--timeout=20s")
    wait_for_nothing(cluster)


def test_a_server_that_hangs_holds_up_its_own_pods_alone_and_no_deletion(
    cluster: RealCluster, server: FileServer
) -> None:
    kubectl = cluster.kubectl
    start(cluster, "stuck", share(), script="while :; do date >/v/beat; sleep 0.1; done")
    server.signal(signal.SIGSTOP)
    try:
        apply_pod(cluster, "late", share())
        cluster.wait("its mount waits", lambda: len(clients(cluster)) > 1)
        start(cluster, "other", {"emptyDir": {}})
        begun = time.monotonic()
        kubectl("delete", "pod", "stuck", "late", "other", "--timeout=40s", timeout=50)
        assert time.monotonic() - begun < 30
    finally:
        server.signal(signal.SIGCONT)
    wait_for_nothing(cluster)
    start(cluster, "after", share())
    kubectl("delete", "pod", "after")
