"""Disks that fill up or turn read-only, and an image store with files missing, on real Podman."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.images import BUSYBOX
from tests.support.leaks import returns_to, settled
from tests.support.real_cluster import RealCluster, real_cluster, start_program
from tests.support.testbed import Space, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]

IN_ORDER = True
DATA = "/var/lib/edgek"
STORE = "/var/lib/containers"
NO_PRESSURE = "memory.available<1Mi"
REGISTRY = "10.98.0.1:5003"
CONF = f'[[registry]]\nlocation = "{REGISTRY}"\ninsecure = true\n'
LAYER = 8


def small_disk(node: Space) -> dict[str, str]:
    """What the agent keeps is on a disk of its own, and so are images; pressure is another
    test's."""
    node.run("mkdir", "-p", DATA, "/run/store")
    node.run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", DATA)
    node.run("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", "/run/store")
    node.run("cp", "-a", f"{STORE}/.", "/run/store")
    node.run("mount", "--bind", "/run/store", STORE)
    folder = node.dir / "etc/containers/registries.conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "bad.conf").write_text(CONF)
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
                "readinessProbe": {
                    "exec": {"command": ["test", "!", "-e", "/own/busy"]},
                    "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5,
                },
            }],
            "volumes": [{"name": "own", "emptyDir": {}}],
        },
    }  # fmt: skip
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod))


def ready(cluster: RealCluster, name: str) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=70)


def told(cluster: RealCluster, name: str, words: str) -> None:
    """An event of the pod says it, the kernel's words being Podman's or our own."""
    what = ("get", "events", "--field-selector", f"involvedObject.name={name}")
    try:
        cluster.wait(f"about {words}", lambda: words.lower() in cluster.kubectl(*what).lower())
    except AssertionError as err:
        raise AssertionError(f"{err}\n{cluster.kubectl(*what)}") from None


def start_over(cluster: RealCluster) -> None:
    """An agent that was killed comes up again on such a disk, and can be asked things."""
    node = cluster.bed.nodes[0]
    cluster.stop(node, signal.SIGKILL)
    log = cluster.bed.server.dir / "edgek.log"
    before = log.read_text().count("agent connected")
    cluster.start_agent(node, eviction_hard=NO_PRESSURE)
    cluster.wait("the agent is back", lambda: log.read_text().count("agent connected") > before)


def commands_are_asked(cluster: RealCluster, name: str) -> None:
    """A probe's command still runs, and both its answers count."""
    node = cluster.bed.nodes[0]
    pod_uid = cluster.json("pod", name)["metadata"]["uid"]
    found = node.run("find", DATA, "-path", f"*{pod_uid}*/own", capture_output=True)
    [folder] = found.stdout.split()
    what = ("wait", f"pod/{name}", "--timeout=40s", "--for")
    node.run("touch", f"{folder}/busy")
    cluster.kubectl(*what, "condition=Ready=false", timeout=50)
    node.run("rm", f"{folder}/busy")
    cluster.kubectl(*what, "condition=Ready", timeout=50)


def inside(cluster: RealCluster, name: str) -> str:
    return cluster.kubectl("exec", name, "--", "echo", "in").strip()


def fill(cluster: RealCluster, *, leave: int) -> None:
    """All of the images' disk but so many megabytes."""
    node = cluster.bed.nodes[0]
    node.run("sh", "-c", f"head -c {leave}M /dev/zero >{STORE}/left; cat /dev/zero >{STORE}/filler",
             check=False, capture_output=True)  # fmt: skip
    node.run("rm", f"{STORE}/left")


def test_on_a_full_store_of_images_a_new_pod_says_once_why_it_waits(cluster: RealCluster) -> None:
    before = settled(cluster.bed.nodes[0])
    fill(cluster, leave=0)
    run(cluster, "held-up")
    told(cluster, "held-up", "Error: creating container storage: write")
    commands_are_asked(cluster, "before")
    cluster.bed.nodes[0].run("rm", f"{STORE}/filler")
    ready(cluster, "held-up")
    about = ("events", "--field-selector", "involvedObject.name=held-up,reason=Failed")
    said = [event["message"] for event in cluster.json(*about)["items"]]
    assert len(said) == 1, said
    assert "no space left on device" in said[0]
    cluster.kubectl("delete", "pod", "held-up")
    assert returns_to(before, cluster.bed.nodes[0]) == ""


def test_an_image_there_is_no_room_for_is_pulled_when_there_is(cluster: RealCluster) -> None:
    bad = "tests.support.bad_registry"
    registry = start_program(cluster.bed.switch, bad, REGISTRY, str(LAYER))
    try:
        fill(cluster, leave=LAYER // 2)
        run(cluster, "large", f"{REGISTRY}/ok/app:1")
        told(cluster, "large", "there is no room left for images on this node's disk: ")
        node = cluster.bed.nodes[0]
        assert "storage" not in node.run("ls", f"{DATA}/landing", capture_output=True).stdout
        node.run("rm", f"{STORE}/filler")
        told(cluster, "large", f'Successfully pulled image "{REGISTRY}/ok/app:1"')
        cluster.kubectl("delete", "pod", "large", "--wait=false")
    finally:
        os.kill(cluster.bed.switch.inner(registry), signal.SIGKILL)
        registry.wait(10)


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
