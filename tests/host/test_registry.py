"""Pulling from a real registry (Debian's docker-registry), open and with a password."""

import base64
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from edgek.pki.certificates import Profile, new_ca, new_pair
from tests.support.images import BUSYBOX, HELLO_1
from tests.support.real_cluster import RealCluster, real_cluster, start_program
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
BAD, SECURE = "10.98.0.1:5003", "10.98.0.1:5004"
"""One that misbehaves, and one with TLS of its own CA, which node2 is told of."""
CONF = f"""
[[registry]]
location = "{OPEN}"
insecure = true
[[registry]]
location = "{LOCKED}"
insecure = true
[[registry]]
location = "{BAD}"
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


def config(folder: Path, address: str) -> str:
    auth = f'auth: {{htpasswd: {{realm: test, path: "{folder}/htpasswd"}}}}'
    auth = auth if address == LOCKED else ""
    tls = f', tls: {{certificate: "{folder}/tls.crt", key: "{folder}/tls.key"}}'
    tls = tls if address == SECURE else ""
    return f"""
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}/{address}"}}}}
http: {{addr: "{address}"{tls}}}
{auth}
"""


def push(node: Space, address: str) -> bool:
    credentials = f"--creds={USER}:{PASSWORD}"
    done = node.run(
        "podman", "push", "-q", "--tls-verify=false", credentials, BUSYBOX, f"docker://{address}/app:1",
        check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode == 0


def write_certificates(folder: Path, node: Space) -> None:
    now = datetime.now(UTC)
    ca = new_ca("registry", now=now)
    host = SECURE.partition(":")[0]
    pair = new_pair(ca, Profile(common_name=host, names=[host], server=True), now=now)
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    place = node.dir / "etc/containers/certs.d" / SECURE
    place.mkdir(parents=True)
    (place / "ca.crt").write_bytes(ca.certificate)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """Two nodes; node1 has pushed the image ``app:1`` to both registries."""
    with real_cluster(tmp_path_factory.mktemp("registry"), nodes=2) as up:
        folder = up.bed.dir / "registries"
        folder.mkdir()
        (folder / "htpasswd").write_text(HTPASSWD)
        write_certificates(folder, up.bed.nodes[1])
        bad = "tests.support.bad_registry"
        up.processes[BAD] = start_program(up.bed.switch, bad, BAD, "1")
        for address in (OPEN, LOCKED, SECURE):
            file = folder / f"{address}.yml"
            file.write_text(config(folder, address))
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
        for address in (OPEN, LOCKED, SECURE):
            wait_for(f"{address} takes an image", partial(push, up.bed.nodes[0], address), 20)
        yield up


def run_pod(
    cluster: RealCluster,
    name: str,
    image: str,
    *,
    secret: str = "",
    policy: str = "Always",
    node: str = "node2",
) -> None:
    spec = {
        "nodeName": node,
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


def tells(cluster: RealCluster, name: str, text: str) -> None:
    """An event of the pod; they come a little after the status."""
    cluster.wait(f"{name}: {text}", lambda: text in described(cluster, name))


def test_an_image_is_pulled_from_a_registry(cluster: RealCluster) -> None:
    run_pod(cluster, "pulled", f"{OPEN}/app:1")
    runs(cluster, "pulled")
    tells(cluster, "pulled", "Successfully pulled image")
    text = described(cluster, "pulled")
    assert f'Pulling image "{OPEN}/app:1"' in text
    assert f'Successfully pulled image "{OPEN}/app:1" in ' in text
    assert " including waiting). Image size: " in text


def test_a_tag_that_is_not_there_is_named(cluster: RealCluster) -> None:
    run_pod(cluster, "no-tag", f"{OPEN}/app:nope")
    cluster.wait(
        "the pod backs off", lambda: "ImagePullBackOff" in cluster.kubectl("get", "pod", "no-tag")
    )
    tells(cluster, "no-tag", "Back-off pulling image")
    text = described(cluster, "no-tag")
    assert f'Failed to pull image "{OPEN}/app:nope"' in text
    assert "manifest unknown" in text
    assert "ErrImagePull" in text
    assert f'Back-off pulling image "{OPEN}/app:nope"' in text


def test_a_name_that_no_image_can_have_is_told_and_not_pulled(cluster: RealCluster) -> None:
    run_pod(cluster, "misnamed", "Registry.example/App:1")
    cluster.wait("it is told", lambda: "Error: InvalidImageName" in described(cluster, "misnamed"))
    text = described(cluster, "misnamed")
    assert 'Failed to apply default image tag "Registry.example/App:1"' in text
    assert "Pulling" not in text


def test_a_registry_that_is_not_there_is_named(cluster: RealCluster) -> None:
    run_pod(cluster, "no-registry", "10.98.0.1:5009/app:1")
    tells(cluster, "no-registry", "connection refused")


def test_what_a_registry_that_misbehaves_does_is_told(cluster: RealCluster) -> None:
    told = {
        "s429": ("toomanyrequests: You have reached your pull rate limit.", "ErrImagePull"),
        "s500": ("because the registry is unavailable: ", "RegistryUnavailable"),
        "s401": ("unauthorized", "ErrImagePull"),
        "cut": ("unexpected EOF", "ErrImagePull"),
    }
    for name in told:
        run_pod(cluster, name, f"{BAD}/{name}/app:1")
    for name, (words, reason) in told.items():
        cluster.wait(f"{name}: {words}", lambda n=name, w=words: w in described(cluster, n))
        cluster.wait(reason, lambda n=name, r=reason: f"Error: {r}" in described(cluster, n))


def test_an_authority_in_the_certs_of_podman_is_trusted(cluster: RealCluster) -> None:
    run_pod(cluster, "trusting", f"{SECURE}/app:1")
    run_pod(cluster, "distrusting", f"{SECURE}/app:1", node="node1")
    runs(cluster, "trusting")
    words = "certificate signed by unknown authority"
    cluster.wait(words, lambda: words in described(cluster, "distrusting"))


def test_a_password_is_taken_from_the_pull_secret(cluster: RealCluster) -> None:
    run_pod(cluster, "stranger", f"{LOCKED}/app:1")
    tells(cluster, "stranger", "authentication required")
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
    tells(cluster, "thief", "does not have the proper auth (image secret)")
    assert "ErrImageNeverPull" in described(cluster, "thief")


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
        tells(cluster, name, words)


def test_a_pull_on_a_disk_above_the_threshold_removes_what_nobody_uses(
    cluster: RealCluster,
) -> None:
    node = cluster.bed.nodes[1]
    run_pod(cluster, "keeps", f"{OPEN}/app:1", policy="IfNotPresent")
    runs(cluster, "keeps")
    assert HELLO_1 in node.images()
    cluster.stop(node)
    # Every disk is fuller than this.
    cluster.start_agent(node, image_gc_high_threshold="1", image_gc_low_threshold="0")
    run_pod(cluster, "fills", f"{OPEN}/app:1")
    runs(cluster, "fills")
    gone = lambda: (left := node.images()) and HELLO_1 not in left  # noqa: E731
    cluster.wait("unused images are gone", gone, 30)
    cluster.wait("what is used is not", lambda: f"{OPEN}/app:1" in node.images(), 5)
    events = lambda: cluster.kubectl("get", "events", "--field-selector=involvedObject.kind=Node")  # noqa: E731
    cluster.wait("it was not enough, which is told", lambda: "FreeDiskSpaceFailed" in events(), 20)
