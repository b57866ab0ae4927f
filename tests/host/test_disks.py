"""Disks that fill up or turn read-only, and an image store with files missing, on real Podman."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]

IN_ORDER = True
DATA = "/var/lib/edgek"
NO_PRESSURE = "memory.available<1Mi"


def small_disk(node: Space) -> dict[str, str]:
    """What the agent keeps is on a disk of its own; pressure is another test's."""
    node.run("mkdir", "-p", DATA)
    node.run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", DATA)
    return {"eviction_hard": NO_PRESSURE}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    folder = tmp_path_factory.mktemp("disks")
    with real_cluster(folder, nodes=1, prepare=small_disk) as made:
        run(made, "before")
        ready(made, "before")
        yield made


def run(cluster: RealCluster, name: str, image: str = BUSYBOX) -> None:
    pod: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "9999"],
                "volumeMounts": [{"name": "own", "mountPath": "/own"}],
            }],
            "volumes": [{"name": "own", "emptyDir": {}}],
        },
    }  # fmt: skip
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod))


def ready(cluster: RealCluster, name: str) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=70)


def told(cluster: RealCluster, name: str, words: str) -> None:
    """An event of the pod says it."""
    what = ("get", "events", "--field-selector", f"involvedObject.name={name}")
    cluster.wait(f"an event about {words}", lambda: words in cluster.kubectl(*what))


def start_over(cluster: RealCluster) -> None:
    """An agent that was killed comes up again on such a disk."""
    node = cluster.bed.nodes[0]
    cluster.stop(node, signal.SIGKILL)
    before = (node.dir / "edgek.log").read_text().count("agent is ready")
    cluster.start_agent(node, eviction_hard=NO_PRESSURE)
    log = node.dir / "edgek.log"
    cluster.wait("the agent is ready", lambda: log.read_text().count("agent is ready") > before)


def inside(cluster: RealCluster, name: str) -> str:
    return cluster.kubectl("exec", name, "--", "echo", "in").strip()


def test_on_a_full_disk_pods_go_on_and_new_ones_say_why_they_wait(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    node.run("dd", "if=/dev/zero", f"of={DATA}/filler", "bs=1M", check=False, capture_output=True)
    run(cluster, "late")
    told(cluster, "late", "No space left on device")
    start_over(cluster)
    assert inside(cluster, "before") == "in"
    node.run("rm", f"{DATA}/filler")
    ready(cluster, "late")
    assert inside(cluster, "late") == "in"


def test_on_a_read_only_disk_too_and_pods_can_be_deleted_after_it(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]
    node.run("mount", "-o", "remount,ro", DATA)
    run(cluster, "later")
    told(cluster, "later", "Read-only file system")
    start_over(cluster)
    assert inside(cluster, "before") == "in"
    cluster.kubectl("delete", "pod", "late", "--wait=false")
    node.run("mount", "-o", "remount,rw", DATA)
    ready(cluster, "later")
    cluster.kubectl("wait", "--for=delete", "pod/late", "--timeout=60s", timeout=70)


def test_an_image_with_files_missing_is_told_of_and_fetched_anew(cluster: RealCluster) -> None:
    """Here there is nowhere to fetch it from, which is told too."""
    node, other = cluster.bed.nodes[0], "localhost/other:1"
    node.run("sh", "-c", f"tar c -C /etc hostname | podman import -q - {other}")
    image = node.run("podman", "image", "inspect", "-f", "{{.Id}}", other, capture_output=True)
    store = "/var/lib/containers/storage/overlay-images"
    node.run("rm", f"{store}/{image.stdout.strip()}/manifest")
    run(cluster, "broken", image=other)
    told(cluster, "broken", "Failed to inspect image")
    told(cluster, "broken", "Failed to pull image")
    left = node.run("podman", "images", "-q", "--no-trunc", capture_output=True)
    assert image.stdout.strip() not in left.stdout
