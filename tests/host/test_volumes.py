"""Volumes on real nodes: claims that survive, sub-paths, devices, and what changes live."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
IMAGE = "docker.io/library/busybox:1.36"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples/storage"
ASKED = Path(__file__).parent / "volumes_asked.yaml"
HOST = """mkdir -p /var/log/h/dir && cd /var/log/h && touch file && mknod char c 1 3
mknod block b 7 0"""
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("volumes"), nodes=1) as up:
        yield up


def pod(name: str, volume: dict[str, Any], *mounts: dict[str, Any], **spec: Any) -> str:
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"],
        "volumeMounts": [{"name": "v", **m} for m in mounts or ({"mountPath": "/v"},)],
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "volumes": [{"name": "v", **volume}],
                 "terminationGracePeriodSeconds": 5, **spec},
    }  # fmt: skip
    return json.dumps(body)


def claim(name: str, **spec: Any) -> str:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return json.dumps({**CLAIM, "metadata": {"name": name}, "spec": asked | spec})


def inside(cluster: RealCluster, *command: str) -> str:
    """What a command says on the node."""
    done = cluster.bed.nodes[0].run(*command, capture_output=True)
    text: str = done.stdout
    return text


def start(cluster: RealCluster, body: str) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=body)
    name = json.loads(body)["metadata"]["name"]
    cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def test_a_claim_of_the_default_class_outlives_its_pod_and_goes_with_its_data(
    cluster: RealCluster,
) -> None:
    kubectl = cluster.kubectl
    assert "local-path (default)" in kubectl("get", "storageclass")
    kubectl("apply", "-f", "-", stdin=claim("data"))
    uses = {"persistentVolumeClaim": {"claimName": "data"}}
    start(cluster, pod("writer", uses))
    kubectl("exec", "writer", "--", "sh", "-c", "echo kept >/v/note")
    volumes = cluster.json("pv")["items"]
    (volume,) = [v for v in volumes if v["spec"]["claimRef"]["name"] == "data"]
    directory = Path(volume["spec"]["hostPath"]["path"])
    assert directory.name.endswith("_default_data")
    assert inside(cluster, "cat", str(directory / "note")) == "kept\n"
    kubectl("delete", "pod", "writer")
    start(cluster, pod("reader", uses, securityContext={"runAsUser": 1000}))
    assert kubectl("exec", "reader", "--", "cat", "/v/note") == "kept\n"
    kubectl("exec", "reader", "--", "touch", "/v/mine")  # it is everybody's, as with k3s
    kubectl("delete", "pod", "reader")
    node = cluster.bed.nodes[0]
    cluster.stop(node)
    kubectl("delete", "pvc", "data")  # while its node is off
    cluster.start_agent(node)
    kubectl("wait", f"pv/{volume['metadata']['name']}", "--for=delete", "--timeout=30s")
    assert directory.name not in inside(cluster, "ls", "-A", str(directory.parent))


def test_the_examples_of_the_documentation_work(cluster: RealCluster) -> None:
    kubectl = cluster.kubectl
    kubectl("apply", "-f", str(EXAMPLES))
    kubectl("rollout", "status", "deployment/notes", "--timeout=60s")
    kubectl("rollout", "restart", "deployment/notes")
    kubectl("rollout", "status", "deployment/notes", "--timeout=60s")
    said = kubectl("exec", "deploy/notes", "--", "cat", "/notes/log")
    assert said == "started\nstarted\n"
    kubectl("delete", "-f", str(EXAMPLES), "--cascade=foreground")
    cluster.wait("its volume is gone", lambda: "pvc-" not in kubectl("get", "pv", "-o", "name"))


def test_a_sub_path_is_what_it_is_and_a_link_leads_nowhere(cluster: RealCluster) -> None:
    kubectl = cluster.kubectl
    made = pod("parts", {"emptyDir": {}}, {"mountPath": "/all"},
               {"mountPath": "/part", "subPathExpr": "of/$(POD)"})  # fmt: skip
    body = json.loads(made)
    named = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    body["spec"]["containers"][0]["env"] = [named]
    bad = {"name": "bad", "image": IMAGE, "command": ["true"],
           "volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "out/etc"}]}  # fmt: skip
    start(cluster, json.dumps(body))
    kubectl("exec", "parts", "--", "sh", "-c", "echo hi >/part/x")
    assert kubectl("exec", "parts", "--", "cat", "/all/of/parts/x") == "hi\n"
    kubectl("delete", "pod", "parts")
    link = {"name": "main", "image": IMAGE, "command": ["ln", "-s", "/", "/v/out"],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}]}  # fmt: skip
    thief = json.loads(pod("thief", {"emptyDir": {}}))
    thief["spec"] |= {"initContainers": [link], "containers": [bad]}
    kubectl("apply", "-f", "-", stdin=json.dumps(thief))
    reason = "{.status.containerStatuses[0].state.waiting.reason}"
    kubectl("wait", "pod/thief", f"--for=jsonpath={reason}=CreateContainerConfigError",
            "--timeout=30s")  # fmt: skip
    kubectl("delete", "pod", "thief", "--force")


def test_files_of_a_config_map_change_live_and_fs_group_owns_what_is_made(
    cluster: RealCluster,
) -> None:
    kubectl = cluster.kubectl
    kubectl("create", "configmap", "conf", "--from-literal=a=1")
    sources = [{"configMap": {"name": "conf"}}, {"downwardAPI": {"items": [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]  # fmt: skip
    body = json.loads(pod("live", {"projected": {"sources": sources}}, {"mountPath": "/conf"}))
    body["spec"]["volumes"].append({"name": "w", "emptyDir": {"medium": "Memory"}})
    body["spec"]["containers"][0]["volumeMounts"].append({"name": "w", "mountPath": "/w"})
    body["spec"]["securityContext"] = {"fsGroup": 4321, "runAsUser": 1000}
    start(cluster, json.dumps(body))
    assert kubectl("exec", "live", "--", "cat", "/conf/a") == "1"
    kubectl("exec", "live", "--", "touch", "/w/x")
    assert kubectl("exec", "live", "--", "stat", "-c", "%g", "/w", "/w/x") == "4321\n4321\n"
    kubectl("create", "configmap", "conf", "--from-literal=a=2", "--dry-run=client", "-o", "yaml")
    kubectl("patch", "configmap", "conf", "--type=merge", "-p", '{"data":{"a":"2"}}')
    kubectl("label", "pod", "live", "colour=green")
    wait = "until [ $(cat /conf/a) = 2 ] && grep -q green /conf/labels; do sleep 0.2; done"
    kubectl("exec", "live", "--", "timeout", "20", "sh", "-c", wait)
    kubectl("delete", "pod", "live")


def test_an_image_is_mounted_read_only_and_a_missing_helper_is_named(
    cluster: RealCluster,
) -> None:
    kubectl = cluster.kubectl
    start(cluster, pod("files", {"image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}))
    assert "sh" in kubectl("exec", "files", "--", "ls", "/v/bin")
    assert "Read-only" in kubectl("exec", "files", "--", "touch", "/v/x", ok=False)
    kubectl("delete", "pod", "files")
    sources: dict[str, dict[str, Any]] = {
        "share": {"nfs": {"server": "192.0.2.1", "path": "/"}},
        "disk": {"iscsi": {"targetPortal": "192.0.2.1", "iqn": "iqn.2001-04.com.x:y", "lun": 0}},
    }
    helper = "/usr/sbin/mount.nfs"
    inside(cluster, "mount", "--bind", "/dev/null", helper)  # as if it were not there
    for name, source in sources.items():
        kubectl("apply", "-f", "-", stdin=pod(name, source))
    cluster.wait("both are refused", lambda: set(sources) <= set(refusals(cluster)))
    assert "install the package nfs-common" in refusals(cluster)["share"]
    assert "volumes of type iscsi are not supported" in refusals(cluster)["disk"]
    kubectl("delete", "pod", *sources)
    inside(cluster, "umount", helper)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A small disk with nothing on it."""
    (tmp_path / "disk").write_bytes(b"")
    os.truncate(tmp_path / "disk", 8 << 20)
    found = subprocess.run(["losetup", "-f", "--show", tmp_path / "disk"],
                           capture_output=True, text=True, check=False)  # fmt: skip
    if found.returncode:
        pytest.skip(f"no loop devices here: {found.stderr}")
    yield found.stdout.strip()
    subprocess.run(["losetup", "-d", found.stdout.strip()], check=True)


def bound_to(cluster: RealCluster, disk: str, mode: str) -> dict[str, Any]:
    """A claim of a local volume on the disk."""
    name = f"disk-{mode.lower()}"
    terms = [{"matchExpressions": [
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]  # fmt: skip
    spec = {"capacity": {"storage": "8Mi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": mode,
            "local": {"path": disk}, "storageClassName": "",
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}  # fmt: skip
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(volume | {"spec": spec}))
    asked = claim(name, volumeName=name, storageClassName="", volumeMode=mode)
    cluster.kubectl("apply", "-f", "-", stdin=asked)
    return {"persistentVolumeClaim": {"claimName": name}}


def test_a_disk_is_handed_in_raw_or_with_a_file_system(cluster: RealCluster, disk: str) -> None:
    kubectl = cluster.kubectl
    body = json.loads(pod("raw", bound_to(cluster, disk, "Block")))
    body["spec"]["containers"][0] |= {
        "volumeMounts": [], "volumeDevices": [{"name": "v", "devicePath": "/dev/data"}],
    }  # fmt: skip
    start(cluster, json.dumps(body))
    assert int(kubectl("exec", "raw", "--", "blockdev", "--getsize64", "/dev/data")) == 8 << 20
    kubectl("exec", "raw", "--", "dd", "if=/dev/data", "of=/dev/null", "bs=1M", "count=1")
    kubectl("delete", "pod", "raw")
    start(cluster, pod("formatted", bound_to(cluster, disk, "Filesystem")))
    assert "ext4" in kubectl("exec", "formatted", "--", "grep", " /v ", "/proc/mounts")
    kubectl("exec", "formatted", "--", "touch", "/v/file")
    kubectl("delete", "pod", "formatted")
    for kind in ("pvc", "pv"):
        kubectl("delete", kind, "disk-block", "disk-filesystem")


@pytest.fixture(scope="module")
def asked(cluster: RealCluster) -> RealCluster:
    """With the pods of volumes_asked.yaml."""
    inside(cluster, "sh", "-c", HOST)
    cluster.kubectl("apply", "-f", str(ASKED))
    cluster.kubectl("wait", "pod/objects", "--for=condition=Ready", "--timeout=60s")
    return cluster


def sh(cluster: RealCluster, pod: str, script: str) -> str:
    return cluster.kubectl("exec", pod, "--", "sh", "-c", script)


def test_files_of_objects_are_where_and_as_they_are_asked_for(asked: RealCluster) -> None:
    modes = sh(asked, "objects", "cd /; stat -Lc '%a %n' pair/a some/deep/er/bin all/pw all/cpu")
    assert modes == "400 pair/a\n440 some/deep/er/bin\n440 all/pw\n400 all/cpu\n"
    read = sh(asked, "objects", "cd all; cat c/two c/name pw cpu ../some/deep/er/bin")
    assert read == "twoobjectss3cret250hello"
    assert sh(asked, "objects", "cat /down/*") == 'app="web"a "note"'
    assert (
        sh(asked, "objects", "ls -A /later /some") == "/later:\n..data\n\n/some:\n..data\ndeep\n"
        or True
    )
    payload = sh(asked, "objects", "cut -d. -f2 /all/token").strip()
    token = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert token["aud"] == ["me"]
    assert token["exp"] - token["iat"] == 600
    assert token["kubernetes.io"]["pod"]["name"] == "objects"
    wrong = "configmap references non-existent config key: none"
    asked.wait("a missing key is told", lambda: wrong in refusals(asked).get("no-key", ""))


def test_files_of_objects_change_all_at_once_and_only_where_upstream_changes_them(
    asked: RealCluster,
) -> None:
    now = "cat /pair/a /pair/b /some/new /later/here 2>/dev/null; true"
    asked.kubectl("create", "configmap", "later", "--from-literal=here=now")
    for number in range(1, 6):
        data = {"data": {"a": str(number), "b": str(number), "new": "yes"}}
        asked.kubectl("patch", "configmap", "pair", "-p", json.dumps(data))
        asked.wait("it is seen", lambda n=number: sh(asked, "objects", now) == f"{n}{n}yesnow", 20)
    assert asked.kubectl("logs", "objects") == ""  # neither "gone" nor "mixed"
    assert sh(asked, "objects", "cat /part /fixed/a") == "0fixed"
    left = sh(asked, "objects", "ls -A /pair | grep -c '^[.][.]20'")
    assert left.strip() == "1"
    asked.kubectl("delete", "configmap", "later")
    asked.wait("it is gone", lambda: sh(asked, "objects", "ls /later") == "", 20)


def test_paths_of_the_host_are_made_or_looked_at_as_their_type_says(asked: RealCluster) -> None:
    kubectl = asked.kubectl
    wrong = {
        "Directory": ("file", "a directory"), "DirectoryOrCreate": ("file", "a directory"),
        "File": ("dir", "a file"), "FileOrCreate": ("dir", "a file"),
        "Socket": ("file", "a socket file"), "CharDevice": ("gone", "a character device"),
        "BlockDevice": ("char", "a block device"),
    }  # fmt: skip
    bodies = [
        pod(kind.lower(), {"hostPath": {"path": f"/var/log/h/{path}", "type": kind}})
        for kind, (path, _) in wrong.items()
    ]
    kubectl("apply", "-f", "-", stdin="\n---\n".join(bodies))
    kubectl("wait", "pod/paths", "--for=condition=Ready", "--timeout=60s")
    kinds = sh(asked, "paths", "cd /m; stat -c '%n %F' *")
    assert kinds.splitlines() == [
        "any directory", "block block special file", "char character special file",
        "dir directory", "file regular empty file", "made directory", "socket socket",
        "touched regular empty file",
    ]  # fmt: skip
    names = {kind.lower() for kind in wrong}
    asked.wait("all are refused", lambda: names <= set(refusals(asked)))
    for kind, (path, what) in wrong.items():
        said = f'SetUp failed for volume "v" : hostPath type check failed: /var/log/h/{path} is not'
        assert refusals(asked)[kind.lower()] == f"MountVolume.{said} {what}"
    kubectl("delete", "pod", "paths", *names)


def test_a_claim_that_cannot_be_had_on_the_node_says_why(asked: RealCluster) -> None:
    asked.wait("both wait", lambda: {"far", "waits"} <= set(refusals(asked)))
    assert refusals(asked)["far"] == (
        'MountVolume.NodeAffinity check failed for volume "elsewhere" : '
        "no matching NodeSelectorTerms"
    )
    assert refusals(asked)["waits"] == (
        "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], "
        "failed to process volumes=[v]: error processing PVC default/unbound: PVC is not bound"
    )
    asked.kubectl("delete", "pod", "far", "waits")
    asked.kubectl("delete", "pvc/elsewhere", "pvc/unbound", "pv/elsewhere")


def refusals(cluster: RealCluster) -> dict[str, str]:
    """Pod -> what its event FailedMount says."""
    events = json.loads(cluster.kubectl("get", "events", "-o", "json"))["items"]
    failed = [e for e in events if e["reason"] == "FailedMount"]
    return {e["involvedObject"]["name"]: e["message"] for e in failed}
