"""cephfs volumes on a real Ceph cluster, by ceph-fuse.

Ceph's packages are large, so ``make test`` does without: ``make test-fileservers`` runs this.
"""

import base64
import os
import signal
import struct
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
from tests.support.fileservers import Ceph, ceph
from tests.support.real_cluster import RealCluster, real_cluster

ODD_KEY = "dG9vIHNob3J0"
pytestmark = [pytest.mark.host, pytest.mark.ceph, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("ceph"), nodes=1) as up:
        yield up


@pytest.fixture(scope="module")
def server(cluster: RealCluster) -> Iterator[Ceph]:
    with ceph(cluster.bed) as up:
        head = struct.pack("<HQH", 1, 0, 16)  # as all keys of Ceph begin
        keys = {
            "right": up.key,
            "wrong": base64.b64encode(head + os.urandom(16)).decode(),
            "odd": ODD_KEY,
        }
        for name, key in keys.items():
            data = {"key": base64.b64encode(key.encode()).decode()}
            apply(cluster, kind="Secret", name=name, data=data)
        yield up


def share(server: Ceph, **more: Any) -> dict[str, Any]:
    source = {"monitors": [server.ip], "user": "pod", "secretRef": {"name": "right"}}
    return {"cephfs": source | more}


def test_pods_share_a_ceph_file_system_and_one_only_reads_it(
    cluster: RealCluster, server: Ceph
) -> None:
    kubectl = cluster.kubectl
    start(cluster, "writer", share(server))
    kubectl("exec", "writer", "--", "sh", "-c", "mkdir /v/part && echo kept >/v/part/note")
    start(cluster, "reader", share(server, readOnly=True, path="/part"))
    assert kubectl("exec", "reader", "--", "cat", "/v/note") == "kept\n"
    assert "Read-only" in kubectl("exec", "reader", "--", "touch", "/v/x", ok=False)
    node = cluster.bed.nodes[0]
    look = "cat /proc/*/cmdline /proc/*/environ; ls -d /var/lib/edgek/agent/pods/*/key-*"
    told = node.run("sh", "-c", look, capture_output=True, check=False)
    assert server.key not in told.stdout
    assert "No such file" in told.stderr
    kubectl("delete", "pod", "writer", "reader")
    wait_for_nothing(cluster)


def test_a_claim_has_its_options_and_outlives_a_killed_agent(
    cluster: RealCluster, server: Ceph
) -> None:
    node = cluster.bed.nodes[0]
    source = share(server)
    source["cephfs"]["secretRef"]["namespace"] = "default"
    start(cluster, "claimed", bound(cluster, "tuned", source, mountOptions=["fs=shared", "noexec"]))
    before = clients(cluster, "ceph-fuse")
    assert "noexec" in cluster.kubectl("exec", "claimed", "--", "grep", " /v ", "/proc/mounts")
    cluster.stop(node, signal.SIGKILL)
    cluster.start_agent(node)
    look = ("exec", "claimed", "--", "sh", "-c", "ls /v && echo there")
    cluster.wait("it can be asked", lambda: cluster._try(*look))
    assert clients(cluster, "ceph-fuse") == before
    cluster.kubectl("delete", "pod", "claimed")
    cluster.kubectl("delete", "pvc,pv", "tuned")
    wait_for_nothing(cluster)


def test_what_is_wrong_with_a_ceph_file_system_is_said(cluster: RealCluster, server: Ceph) -> None:
    wrong = {
        "key": (share(server, secretRef={"name": "wrong"}), 'refuse user "pod" with this key'),
        "odd": (share(server, secretRef={"name": "odd"}), "this is no key of Ceph"),
        "host": (share(server, monitors=["10.98.0.99"]), "no monitor answers"),
        "secret": (share(server, secretRef={"name": "none"}), 'secret "none" is not there'),
        "path": (share(server, path="/none"), "No such file or directory"),
    }
    for name, (source, _) in wrong.items():
        apply_pod(cluster, name, source)
    for name, (_, said) in wrong.items():
        message = refusal(cluster, name, seconds=45)
        assert said in message
        assert server.key not in message
        assert ODD_KEY not in message
    cluster.kubectl("delete", "pod", *wrong, "--timeout=30s")
    wait_for_nothing(cluster)


def test_a_ceph_that_hangs_holds_up_no_deletion(cluster: RealCluster, server: Ceph) -> None:
    script = "while :; do date >/v/beat; sync; sleep 0.1; done"
    start(cluster, "stuck", share(server), script=script)
    server.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        cluster.kubectl("delete", "pod", "stuck", "--timeout=50s")
        assert time.monotonic() - begun < 40
        wait_for_nothing(cluster)
    finally:
        server.signal(signal.SIGCONT)
