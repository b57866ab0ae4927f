"""Pulling from a real registry (Debian's docker-registry), open and with a password."""

import base64
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need, wait_for

WHY_NOT = missing_need() or (
    "" if shutil.which("docker-registry") else "needs docker-registry (apt-get install it)"
)
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-"),
]

OPEN, LOCKED = "10.98.0.1:5000", "10.98.0.1:5001"
CONF = f"""
[[registry]]
location = "{OPEN}"
insecure = true
[[registry]]
location = "{LOCKED}"
insecure = true
[[registry]]
location = "mirrored.example"
[[registry.mirror]]
location = "{OPEN}"
insecure = true
[[registry]]
location = "untrusted.example"
[[registry.mirror]]
location = "{OPEN}"
insecure = true
[[registry]]
location = "blocked.example"
blocked = true
"""
POLICY = {
    "default": [{"type": "insecureAcceptAnything"}],
    "transports": {"docker": {"untrusted.example": [{"type": "reject"}]}},
}
USER, PASSWORD = "ali", "open sesame"
# bcrypt, made with: htpasswd -nbB
HTPASSWD = f"{USER}:$2b$04$Pz6KWxaH7eXp0OeVaT0bcemYeT6CmDPZpvqEv8vs2ThT1R0mhCbiG\n"


def config(folder: Path, address: str, *, locked: bool) -> str:
    auth = f'auth: {{htpasswd: {{realm: test, path: "{folder}/htpasswd"}}}}' if locked else ""
    return f"""
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}/{address}"}}}}
http: {{addr: "{address}"}}
{auth}
"""


def push(node: Space, address: str) -> bool:
    credentials = f"--creds={USER}:{PASSWORD}"
    done = node.run(
        "podman", "push", "-q", credentials, BUSYBOX, f"docker://{address}/app:1",
        check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """Two nodes; node1 has pushed the image ``app:1`` to both registries."""
    with real_cluster(tmp_path_factory.mktemp("registry"), nodes=2) as up:
        folder = up.bed.dir / "registries"
        folder.mkdir()
        (folder / "htpasswd").write_text(HTPASSWD)
        for address in (OPEN, LOCKED):
            file = folder / f"{address}.yml"
            file.write_text(config(folder, address, locked=address == LOCKED))
            with (folder / f"{address}.log").open("w") as log:
                up.processes[address] = up.bed.switch.popen(
                    "docker-registry", "serve", file, stdout=log, stderr=log
                )
        for node in up.bed.nodes:
            conf = node.dir / "etc/containers/registries.conf.d"
            conf.mkdir()
            (conf / "test.conf").write_text(CONF)
            (node.dir / "etc/containers/policy.json").write_text(json.dumps(POLICY))
            up.stop(node)
            up.start_agent(node)  # Podman reads it once
        for address in (OPEN, LOCKED):
            wait_for(f"{address} takes an image", partial(push, up.bed.nodes[0], address), 20)
        yield up


def run_pod(
    cluster: RealCluster, name: str, image: str, *, secret: str = "", policy: str = "Always"
) -> None:
    spec = {
        "nodeName": "node2",
        "terminationGracePeriodSeconds": 0,
        "imagePullSecrets": [{"name": secret}] if secret else [],
        "containers": [
            {"name": "main", "image": image, "imagePullPolicy": policy,
             "command": ["sleep", "1000"]},
        ],
    }  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def runs(cluster: RealCluster, name: str) -> None:
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    except AssertionError as err:
        raise AssertionError(described(cluster, name)) from err


def described(cluster: RealCluster, name: str) -> str:
    return cluster.kubectl("describe", "pod", name)


def test_an_image_is_pulled_from_a_registry(cluster: RealCluster) -> None:
    run_pod(cluster, "pulled", f"{OPEN}/app:1")
    runs(cluster, "pulled")
    text = described(cluster, "pulled")
    assert f'Pulling image "{OPEN}/app:1"' in text
    assert f'Successfully pulled image "{OPEN}/app:1" in ' in text
    assert " including waiting). Image size: " in text


def test_a_tag_that_is_not_there_is_named(cluster: RealCluster) -> None:
    run_pod(cluster, "no-tag", f"{OPEN}/app:nope")
    cluster.wait(
        "the pod backs off", lambda: "ImagePullBackOff" in cluster.kubectl("get", "pod", "no-tag")
    )
    text = described(cluster, "no-tag")
    assert f'Failed to pull image "{OPEN}/app:nope"' in text
    assert "manifest unknown" in text
    assert "ErrImagePull" in text
    assert f'Back-off pulling image "{OPEN}/app:nope"' in text


def test_a_registry_that_is_not_there_is_named(cluster: RealCluster) -> None:
    run_pod(cluster, "no-registry", "10.98.0.1:5009/app:1")
    cluster.wait(
        "the refusal is told", lambda: "connection refused" in described(cluster, "no-registry")
    )


def test_a_password_is_taken_from_the_pull_secret(cluster: RealCluster) -> None:
    run_pod(cluster, "stranger", f"{LOCKED}/app:1")
    cluster.wait(
        "the missing password is told",
        lambda: "authentication required" in described(cluster, "stranger"),
    )
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    dockerconfig = json.dumps({"auths": {LOCKED: {"auth": auth}}})
    cluster.kubectl(
        "create", "secret", "generic", "key", "--type=kubernetes.io/dockerconfigjson",
        f"--from-literal=.dockerconfigjson={dockerconfig}",
    )  # fmt: skip
    run_pod(cluster, "known", f"{LOCKED}/app:1", secret="key")
    runs(cluster, "known")  # who may pull does not wait for the back-off of who may not
    for name in ("stranger", "known"):
        assert PASSWORD not in described(cluster, name)
    assert PASSWORD not in (cluster.bed.nodes[1].dir / "edgek.log").read_text()
    run_pod(cluster, "thief", f"{LOCKED}/app:1", policy="Never")
    cluster.wait(
        "it is somebody else's", lambda: "ErrImageNeverPull" in described(cluster, "thief")
    )
    assert "does not have the proper auth (image secret)" in described(cluster, "thief")


def test_the_files_of_podman_on_the_node_count(cluster: RealCluster) -> None:
    run_pod(cluster, "mirrored", "mirrored.example/app:1")
    run_pod(cluster, "blocked", "blocked.example/app:1")
    run_pod(cluster, "untrusted", "untrusted.example/app:1")
    runs(cluster, "mirrored")
    for name, words in (
        ("blocked", "is blocked in"),
        ("untrusted", "because the signature validation failed: Source image rejected"),
        ("untrusted", "Error: SignatureValidationFailed"),
    ):
        cluster.wait(f"{name}: {words}", lambda n=name, w=words: w in described(cluster, n))
