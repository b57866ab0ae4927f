"""What a container's fields become: its environment, its spec for the runtime, its files."""

import asyncio
import base64
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from agent.pods.container_spec import make_spec
from agent.pods.environment import ConfigError, Surroundings, make_environment
from agent.pods.http_get import make_request
from agent.pods.isolation import NodeSecurity
from agent.pods.payload import volume_payload
from agent.pods.place import Place
from agent.pods.plan import plan_pod
from agent.pods.resources import pod_resources
from agent.pods.volumes.ownership import _own, _tell, _Walk, own
from agent.pods.volumes.plugin import Provided
from agent.runtime.runtime import ContainerSpec, Image, Namespaces
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from tests.support.pods import at, make_pod, ran, state_of

OBJECTS: Mapping[tuple[str, str], Obj] = {
    ("ConfigMap", "settings"): {"kind": "ConfigMap", "data": {"a": "1", "b": "2"}},
    ("ConfigMap", "bytes"): {"kind": "ConfigMap", "binaryData": {"x": "AAE="}},
    ("Secret", "hidden"): {
        "kind": "Secret", "data": {"key": base64.b64encode(b"pass").decode()},
    },
}  # fmt: skip


def lookup(kind: Kind, namespace: str, name: str) -> Obj | None:
    return OBJECTS.get((kind.kind, name))


def service(name: str, ip: str) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "ports": [{"port": 80, "protocol": "TCP"}]},
    }


AROUND = Surroundings(
    domain="cluster.local",
    lookup=lookup,
    pod_ip="10.42.0.2",
    host_ip="192.0.2.1",
    services=(service("kubernetes", "10.43.0.1"), service("web", "10.43.0.2")),
    allocatable={"cpu": "4", "memory": "1Gi"},
)


def pod_with(container: Mapping[str, Any] | None = None, **spec: Any) -> Obj:
    pod = make_pod(**spec)
    pod["metadata"] |= {"labels": {"app": "x"}, "annotations": {"note": 'say "hi"'}}
    pod["spec"]["containers"][0] |= dict(container or {})
    return pod


def environment(container: Mapping[str, Any], **spec: Any) -> dict[str, str]:
    pod = pod_with(container, **spec)
    return make_environment(pod, pod["spec"]["containers"][0], AROUND)


def value_from(**source: Obj) -> dict[str, str]:
    return environment({"env": [{"name": "X", "valueFrom": source}]})


def spec_of(
    container: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
    security: NodeSecurity | None = None,
    **spec: Any,
) -> ContainerSpec:
    pod = pod_with(container, **spec)
    place = Place(
        namespaces=Namespaces(net="/n", ipc="/i", uts="/u"),
        cgroup_parent="/edgek/podx",
        log_root=Path("/logs"),
        pod_dir=Path("/pod"),
        security=security or NodeSecurity(),
        node_memory=Fraction(2**30),
        volume=lambda name: Provided(path=Path("/vol") / name, device=name == "disk"),
        sub_path=lambda name, relative, label: Path("/vol") / name / relative,
        read_only_tree=lambda name, relative, label: Path("/ro") / name / relative,
    )
    image = Image(id="sha", names=("main:1",))
    own = pod["spec"]["containers"][0]
    return make_spec(pod, own, attempt=3, image=image, env=env or {}, place=place)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"configMapKeyRef": {"name": "settings", "key": "a"}}, "1"),
        ({"secretKeyRef": {"name": "hidden", "key": "key"}}, "pass"),
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "web"),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "x"),
        ({"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}, "10.42.0.2"),
        ({"fieldRef": {"fieldPath": "status.hostIP"}}, "192.0.2.1"),
        ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "node1"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "4"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "1024"),
        ({"resourceFieldRef": {"containerName": "main", "resource": "limits.memory"}},
         "1073741824"),
    ],
)  # fmt: skip
def test_a_variable_is_read_from_where_it_says(source: Obj, value: str) -> None:
    assert value_from(**source)["X"] == value


def test_what_is_optional_may_be_missing_and_nothing_else() -> None:
    for source in (
        {"configMapKeyRef": {"name": "absent", "key": "a"}},
        {"configMapKeyRef": {"name": "settings", "key": "absent"}},
        {"configMapKeyRef": {"name": "bytes", "key": "x"}},
        {"secretKeyRef": {"name": "absent", "key": "a"}},
    ):
        with pytest.raises(ConfigError):
            value_from(**source)
        ((field, ref),) = source.items()
        assert "X" not in value_from(**{field: ref | {"optional": True}})
    for whole in ("configMapRef", "secretRef"):
        with pytest.raises(ConfigError, match="not found"):
            environment({"envFrom": [{whole: {"name": "absent"}}]})
        environment({"envFrom": [{whole: {"name": "absent", "optional": True}}]})
    assert "x" not in environment({"envFrom": [{"configMapRef": {"name": "bytes"}}]})


def test_later_variables_win_and_refer_to_earlier_ones() -> None:
    found = environment(
        {
            "envFrom": [
                {"prefix": "P_", "configMapRef": {"name": "settings"}},
                {"secretRef": {"name": "hidden"}},
            ],
            "env": [{"name": "P_a", "value": "own"}, {"name": "Y", "value": "$(P_a)-$$(P_a)-$(Z)"}],
        }
    )
    assert (found["P_a"], found["P_b"], found["key"]) == ("own", "2", "pass")
    assert found["Y"] == "own-$(P_a)-$(Z)"


def test_variables_of_services_can_be_left_out() -> None:
    assert environment({})["WEB_SERVICE_HOST"] == "10.43.0.2"
    few = environment({}, enableServiceLinks=False)
    assert "WEB_SERVICE_HOST" not in few
    assert few["KUBERNETES_SERVICE_HOST"] == "10.43.0.1"


def test_a_command_of_ones_own_is_expanded() -> None:
    found = spec_of({"command": ["run", "$(X)"], "args": ["$(Y)", "$$(X)"]}, {"X": "1"})
    assert (found.entrypoint, found.args) == (("run", "1"), ("$(Y)", "$(X)"))
    plain = spec_of({})
    assert (plain.entrypoint, plain.args) == (None, None)


def test_what_is_said_of_a_container_itself_is_handed_on() -> None:
    found = spec_of(
        {"workingDir": "/srv", "stdin": True, "stdinOnce": True, "tty": True,
         "lifecycle": {"stopSignal": "SIGUSR1"}, "terminationMessagePath": "/dev/why"}
    )  # fmt: skip
    assert (found.work_dir, found.stdin, found.stdin_once, found.tty) == ("/srv", True, True, True)
    assert found.stop_signal == "SIGUSR1"
    assert "/dev/why" in {m.target for m in found.mounts}
    assert "/dev/termination-log" in {m.target for m in spec_of({}).mounts}
    assert found.log_path == "/logs/default_web_uid-web/main/3.log"


def test_the_variable_hostname_is_what_the_kernel_calls_the_pod() -> None:
    assert environment({})["HOSTNAME"] == "web"
    named = {"hostname": "first", "subdomain": "db"}
    assert environment({}, **named)["HOSTNAME"] == "first"
    full = environment({}, **named, setHostnameAsFQDN=True)["HOSTNAME"]
    assert full == "first.db.default.svc.cluster.local"
    assert "HOSTNAME" not in environment({}, hostNetwork=True)


def test_volumes_are_mounted_as_they_are_asked_for() -> None:
    mounts = [
        {"name": "v", "mountPath": "/a", "readOnly": True},
        {"name": "v", "mountPath": "/b", "subPath": "deep/er",
         "mountPropagation": "HostToContainer"},
        {"name": "v", "mountPath": "/c", "subPathExpr": "$(X)",
         "mountPropagation": "Bidirectional"},
        {"name": "v", "mountPath": "/etc/hosts", "recursiveReadOnly": "Disabled"},
    ]  # fmt: skip
    found = spec_of({"volumeMounts": mounts}, {"X": "mine"}, volumes=[{"name": "v"}]).mounts
    by_target = {m.target: (m.source, m.read_only, m.propagation) for m in found}
    assert by_target["/a"] == ("/vol/v", True, "rprivate")
    assert by_target["/b"] == ("/vol/v/deep/er", False, "rslave")
    assert by_target["/c"] == ("/vol/v/mine", False, "rshared")
    assert [m.source for m in found if m.target == "/etc/hosts"] == ["/vol/v"]


def test_a_read_only_mount_is_so_with_all_below_it_where_that_is_asked_for() -> None:
    volumes = [{"name": "v"}]
    mount = {"name": "v", "mountPath": "/a", "readOnly": True, "subPath": "x"}

    def source(mode: str, *, can: bool = True, **more: Any) -> str:
        mounts = [{**mount, "recursiveReadOnly": mode, **more}]
        security = NodeSecurity(recursive_read_only=can)
        found = spec_of({"volumeMounts": mounts}, security=security, volumes=volumes).mounts
        assert found[0].read_only
        return found[0].source

    assert source("Enabled") == source("IfPossible") == "/ro/v/x"
    assert source("Enabled", subPath="") == "/ro/v"
    assert source("IfPossible", can=False) == source("Disabled") == "/vol/v/x"
    said = 'volume "v" requested recursive read-only mode, but it is not '
    with pytest.raises(ConfigError, match=f"{said}supported by the runtime"):
        source("Enabled", can=False)
    with pytest.raises(ConfigError, match=f"{said}read-only"):
        source("Enabled", readOnly=False)
    with pytest.raises(ConfigError, match=f'{said}compatible with propagation "Bidirectional"'):
        source("Enabled", mountPropagation="Bidirectional")


def test_a_block_volume_is_a_device_of_the_container() -> None:
    wanted = {"volumeDevices": [{"name": "disk", "devicePath": "/dev/xvda"}]}
    (device,) = spec_of(wanted, volumes=[{"name": "disk"}]).devices
    assert (device.path, device.target) == ("/vol/disk", "/dev/xvda")
    with pytest.raises(ConfigError, match="is no block device"):
        spec_of({"volumeDevices": [{"name": "v", "devicePath": "/dev/xvda"}]})


def test_a_pods_overhead_is_part_of_its_limits() -> None:
    asked = {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1", "memory": "64Mi"}}
    pod = pod_with({"resources": asked}, overhead={"cpu": "500m", "memory": "16Mi"})
    found = pod_resources(pod)
    assert found.memory_limit_bytes == 80 * 2**20
    assert found.cpu_quota_us == 150_000


def files(volume: Obj) -> dict[str, tuple[bytes, int]]:
    pod = pod_with({"resources": {"limits": {"cpu": "2"}}})
    found = volume_payload(pod, volume, AROUND, token=lambda own: own["audience"].encode())
    assert found is not None
    return {path: (file.data, file.mode) for path, file in found.items()}


DOWN = [
    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}, "mode": 0o600},
    {"path": "cpu",
     "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
]  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        ({"configMap": {"name": "settings", "defaultMode": 0o400}},
         {"a": (b"1", 0o400), "b": (b"2", 0o400)}),
        ({"configMap": {"name": "settings", "items": [{"key": "a", "path": "x/y", "mode": 0o640}]}},
         {"x/y": (b"1", 0o640)}),
        ({"configMap": {"name": "absent", "optional": True}}, {}),
        ({"secret": {"secretName": "hidden", "defaultMode": 0o440}}, {"key": (b"pass", 0o440)}),
        ({"secret": {"secretName": "hidden", "optional": True,
                     "items": [{"key": "no", "path": "p"}]}}, {}),
        ({"downwardAPI": {"items": DOWN, "defaultMode": 0o444}},
         {"labels": (b'app="x"', 0o600), "cpu": (b"2000", 0o444)}),
        ({"projected": {"defaultMode": 0o440, "sources": [
            {"configMap": {"name": "settings", "items": [{"key": "b", "path": "b"}]}},
            {"secret": {"name": "absent", "optional": True}},
            {"downwardAPI": {"items": DOWN[:1]}},
            {"serviceAccountToken": {"path": "token", "audience": "me",
                                     "expirationSeconds": 600}}]}},
         {"b": (b"2", 0o440), "labels": (b'app="x"', 0o600), "token": (b"me", 0o440)}),
    ],
)  # fmt: skip
def test_a_volume_of_objects_has_these_files(
    volume: Obj, found: dict[str, tuple[bytes, int]]
) -> None:
    assert files(volume) == found


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"configMap": {"name": "settings"}}, "configmap references non-existent config key: no"),
        ({"secret": {"secretName": "hidden"}}, "references non-existent secret key: no"),
    ],
)
def test_a_key_that_is_not_there_is_named(volume: Obj, said: str) -> None:
    ((kind, source),) = volume.items()
    with pytest.raises(ConfigError, match=f"^{said}$"):
        files({kind: source | {"items": [{"key": "no", "path": "p"}]}})


def test_an_http_action_asks_what_it_says() -> None:
    container = {"name": "main", "ports": [{"name": "web", "containerPort": 8080}]}
    get = {
        "scheme": "HTTPS", "host": "example.com", "port": "web", "path": "/ready?x=1",
        "httpHeaders": [{"name": "X-Own", "value": "1"}],
    }  # fmt: skip
    asked = make_request(get, container, pod_ip="10.42.0.2")
    assert asked.url == "https://example.com:8080/ready?x=1"
    assert ("X-Own", "1") in asked.headers
    assert make_request({"port": 80}, container, pod_ip="10.42.0.2").url == "http://10.42.0.2:80/"


@pytest.mark.parametrize("kind", ["liveness", "startup"])
def test_a_failed_probe_may_shorten_the_grace(kind: str) -> None:
    pod = pod_with({f"{kind}Probe": {"terminationGracePeriodSeconds": 3}})
    state = state_of(ran("main"), unhealthy={"main-0": f"{kind} probe"})
    (stop,) = plan_pod(pod, state, now=at(5)).stop
    assert stop.grace_seconds == 3


@pytest.mark.looptime
async def test_a_long_change_of_owners_is_told_of_and_can_be_given_up(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "file").touch()
    walk = _Walk()
    telling = asyncio.create_task(_tell(walk, told.append))
    await asyncio.sleep(31)
    walk.files = 7
    await asyncio.sleep(60)
    telling.cancel()
    assert told[0].startswith(" is taking longer than expected, consider using OnRootMismatch - ht")
    assert told[1:] == [", processed 7 files."]
    walk.stop.set()
    _own(tmp_path, os.getgid(), "Always", False, walk)
    assert walk.files == 7


def test_fsgroupchangepolicy_spares_what_is_owned_already(tmp_path: Path) -> None:
    # As spec.securityContext.fsGroupChangePolicy says.
    inner = tmp_path / "inner"
    inner.mkdir()
    tmp_path.chmod(0o2775)
    inner.chmod(0o700)
    gid = tmp_path.stat().st_gid
    asyncio.run(own(tmp_path, gid, policy="OnRootMismatch"))
    assert inner.stat().st_mode & 0o070 == 0
    asyncio.run(own(tmp_path, gid, policy="Always"))
    assert inner.stat().st_mode & 0o070 == 0o070
