"""Images without a registry: archives on the card, work on the device, pushes to nodes.

One server, two real nodes, real Podman and our own command line; no registry anywhere. node1 has
an archive on its disk before its agent starts, and no image in its storage.
"""

import gzip
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import BUSYBOX, HELLO_1, image_archive
from tests.support.real_cluster import BIN, RealCluster
from tests.support.testbed import Space, Testbed, missing_need

IN_ORDER = True
"""One cluster lives through all of this."""
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
ARCHIVES = "var/lib/edgek/agent/images"
DOCKERFILE = f"FROM {BUSYBOX}\nARG WORD=none\nCOPY . /data\nRUN echo $WORD > /word\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with Testbed(tmp_path_factory.mktemp("images"), nodes=2) as bed:
        up = RealCluster(bed=bed)
        up.start_server()
        folder = bed.nodes[0].dir / ARCHIVES
        folder.mkdir(parents=True)
        with gzip.open(folder / "base.tar.gz", "wb", compresslevel=1) as packed:
            packed.write(image_archive().read_bytes())
        (folder / "broken.tar").write_text("no archive\n" * 100)
        for node in bed.nodes:
            up.start_agent(node)
        run_pod(up, "early", "node1", BUSYBOX, policy="IfNotPresent")
        for node in bed.nodes:
            up.wait(f"{node.name} registers", lambda n=node.name: up._try("get", f"nodes/{n}"))
            up.kubectl("wait", "--for=condition=Ready", f"nodes/{node.name}", "--timeout=60s")
        yield up
    for process in up.processes.values():
        process.wait(20)


def run_pod(cluster: RealCluster, name: str, node: str, image: str, *, policy: str) -> None:
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [
            {"name": "main", "image": image, "imagePullPolicy": policy,
             "command": ["sleep", "1000"]},
        ],
    }  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.wait(
        "the pod is taken",
        lambda: "created" in cluster._try("create", "-f", write(cluster, f"{name}.json", pod)),
    )


def write(cluster: RealCluster, name: str, value: object) -> str:
    path = cluster.bed.server.dir / name
    path.write_text(json.dumps(value))
    return str(path)


def is_ready(cluster: RealCluster, name: str) -> None:
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    except AssertionError as err:
        raise AssertionError(cluster.kubectl("describe", "pod", name)) from err


def edgek(space: Space, *argv: str | Path, ok: bool = True) -> str:
    config = space.bed.server.dir / "etc/edgek/edgek.yaml"
    done = space.run(
        "env", f"KUBECONFIG={config}", BIN / "edgek", *argv, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return str(done.stdout + done.stderr)


def images_of(cluster: RealCluster, node: str) -> set[str]:
    found = cluster.json("node", node)["status"].get("images") or []
    return {name for image in found for name in image["names"]}


def events_of_node(cluster: RealCluster, node: str) -> dict[str, str]:
    """Reason -> message."""
    events = cluster.json("events", "--field-selector=involvedObject.kind=Node")["items"]
    return {e["reason"]: e["message"] for e in events if e["source"].get("host") == node}


def test_a_node_gets_its_images_from_archives_before_its_pods_need_them(
    cluster: RealCluster,
) -> None:
    is_ready(cluster, "early")
    text = lambda: cluster.kubectl("describe", "pod", "early")  # noqa: E731
    here = "already present on machine and can be accessed by the pod"
    cluster.wait("it is said that it was there", lambda: here in text(), 20)
    assert "Failed" not in text()
    told = lambda: events_of_node(cluster, "node1")  # noqa: E731
    cluster.wait("it is told", lambda: {"ImageArchiveLoaded", "InvalidImageArchive"} <= set(told()))
    assert HELLO_1 in told()["ImageArchiveLoaded"]
    broken = "Could not load /var/lib/edgek/agent/images/bro"
    assert told()["InvalidImageArchive"].startswith(broken)
    cluster.wait("the node shows it", lambda: HELLO_1 in images_of(cluster, "node1"))
    assert "Copying blob" not in (cluster.bed.nodes[0].dir / "edgek.log").read_text()


def test_what_is_loaded_is_not_read_again_but_what_is_gone_is(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    loads = "image archive loaded"
    before = (node.dir / "edgek.log").read_text().count(loads)
    cluster.stop(node)
    node.run("podman", "rmi", HELLO_1, capture_output=True)
    cluster.start_agent(node)
    log = node.dir / "edgek.log"
    cluster.wait("it is loaded again", lambda: log.read_text().count(loads) == before + 1)
    assert HELLO_1 in with_tags(edgek(node, "images", "list"))
    cluster.stop(node, signal.SIGKILL)
    cluster.start_agent(node)
    cluster.wait("the agent is back", lambda: (node.dir / "run/edgek/agent.sock").exists())
    folder = node.dir / ARCHIVES
    (folder / "more.txt").write_text(f"# all of these are here\n{BUSYBOX}\n")  # inotify sees it
    cluster.wait("the new file is seen", lambda: "more.txt" in log.read_text())
    assert log.read_text().count(loads) == before + 2  # more.txt alone


def test_the_device_does_image_work_itself(cluster: RealCluster, tmp_path: Path) -> None:
    node = cluster.bed.nodes[0]
    context = node.dir / "context"
    (context / "sub").mkdir(parents=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / ".dockerignore").write_text("**/*.log\n")
    (context / "kept.txt").write_text("kept")
    (context / "sub/left.log").write_text("left out")
    built = edgek(node, "images", "build", context, "-t", "mine/app:1", "--build-arg", "WORD=hello")
    assert "COPY . /data" in built
    assert "docker.io/mine/app:1" in built
    run_pod(cluster, "built", "node1", "mine/app:1", policy="Never")
    is_ready(cluster, "built")
    said = cluster.kubectl("exec", "built", "--", "sh", "-c", "cat /word; find /data -type f")
    assert said.split("\n")[0] == "hello"
    assert "/data/kept.txt" in said
    assert "left.log" not in said
    saved = node.dir / "app.tar"
    edgek(node, "images", "export", "mine/app:1", "-f", saved)
    assert "in use" in edgek(node, "images", "rm", "mine/app:1", ok=False)
    cluster.kubectl("delete", "pod", "built", "--now", "--wait=false")
    cluster.wait("it is removed", lambda: edgek_try(node, "images", "rm", "mine/app:1"))
    assert "there is no image" in edgek(node, "images", "export", "mine/app:1", "-f", "-", ok=False)
    assert "docker.io/mine/app:1" in edgek(node, "images", "import", saved)
    bad = node.dir / "bad"
    bad.mkdir()
    (bad / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN exit 3\n")
    assert "exit" in edgek(node, "images", "build", bad, ok=False)


def with_tags(table: str) -> list[str]:
    return [":".join(line.split()[:2]) for line in table.splitlines()]


def edgek_try(space: Space, *argv: str) -> str:
    try:
        return edgek(space, *argv)
    except AssertionError:
        return ""


def test_an_image_is_pushed_to_nodes_and_runs_without_a_registry(cluster: RealCluster) -> None:
    server, (node1, node2) = cluster.bed.server, cluster.bed.nodes
    assert len(edgek(node2, "images", "list").splitlines()) == 1  # the header
    told = edgek(server, "images", "push", node1.dir / "app.tar", "--all")
    assert "node1: docker.io/mine/app:1" in told
    assert "node2: docker.io/mine/app:1" in told
    for node in ("node1", "node2"):
        run_pod(cluster, f"pushed-{node}", node, "mine/app:1", policy="Never")
        is_ready(cluster, f"pushed-{node}")
    again = edgek(
        server, "images", "push", node1.dir / "app.tar", "--nodes", "node2,nowhere", ok=False
    )
    assert "layers were there" in again
    assert "nowhere: failed" in again
    assert "1 of 2 nodes do not have it: nowhere" in again
    assert "mine/app" in edgek(server, "images", "list", "--node", "node2")
    log = server.dir / "edgek.log"
    assert "is no archive of images" in edgek(server, "images", "push", log, "--all", ok=False)


def test_a_push_wants_more_than_reading(cluster: RealCluster) -> None:
    cluster.kubectl("create", "clusterrole", "reader", "--verb=get", "--resource=nodes/proxy")
    cluster.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=reader", "--user=eve")
    text = cluster.kubectl(
        "get", "--raw", "/api/v1/nodes/node1/proxy/edgek/images?ask={}", "--as=eve", ok=False
    )
    assert 'cannot create resource "nodes/proxy"' in text
