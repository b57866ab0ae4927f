"""A container's security context: what of the pod's and its own counts, and what cannot be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.pods.environment import ConfigError
from agent.pods.id_ranges import IdRanges
from agent.pods.isolation import NodeSecurity
from agent.pods.security import APPARMOR_ANNOTATION, apparmor_problem, make_security
from agent.runtime.machine import Machine
from agent.runtime.runtime import ContainerSpec, IdRange, Image, Mount, Namespaces, Security
from agent.runtime.spec import plan_spec
from edgek.api.meta import Obj
from tests.support.pods import make_pod

IMAGE = Image(id="sha", names=("main:1",), user="")


def secured(
    own: Mapping[str, Any] | None = None,
    whole: Mapping[str, Any] | None = None,
    *,
    user: str = "",
    node: NodeSecurity | None = None,
    **spec: Any,
) -> Security:
    pod = make_pod(securityContext=dict(whole or {}), **spec)
    pod["spec"]["containers"][0]["securityContext"] = dict(own or {})
    image = Image(id="sha", names=("main:1",), user=user)
    container: Obj = pod["spec"]["containers"][0]
    return make_security(pod, container, image=image, node=node or NodeSecurity())


@pytest.mark.parametrize(
    ("own", "whole", "image_user", "user"),
    [
        ({}, {}, "app", ""),
        ({}, {"runAsUser": 5}, "app", "5"),
        ({"runAsUser": 6}, {"runAsUser": 5, "runAsGroup": 7}, "", "6:7"),
        ({"runAsGroup": 7}, {}, "app:staff", "app:7"),
        ({"runAsGroup": 7}, {}, "", "0:7"),
    ],
)
def test_the_user_is_the_containers_the_pods_or_the_images(
    own: Obj, whole: Obj, image_user: str, user: str
) -> None:
    assert secured(own, whole, user=image_user).user == user


@pytest.mark.parametrize(
    ("own", "image_user", "said"),
    [
        ({"runAsNonRoot": True, "runAsUser": 0}, "", "container's runAsUser breaks non-root"),
        ({"runAsNonRoot": True}, "", "image will run as root"),
        ({"runAsNonRoot": True}, "0:0", "image will run as root"),
        ({"runAsNonRoot": True}, "app", "non-numeric user \\(app\\), cannot verify"),
        ({"seccompProfile": {"type": "Localhost"}}, "", "localhostProfile must be set"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(own: Obj, image_user: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        secured(own, user=image_user)


def test_a_broken_promise_of_no_root_names_pod_and_container() -> None:
    with pytest.raises(ConfigError) as caught:
        secured({"runAsNonRoot": True})
    named = '(pod: "web_default(uid-web)", container: main)'
    assert str(caught.value).endswith(named)


def test_capabilities_are_known_with_and_without_their_prefix() -> None:
    found = secured({"capabilities": {"add": ["CAP_NET_ADMIN", "ALL"], "drop": ["net_raw"]}})
    assert (found.cap_add, found.cap_drop) == (("NET_ADMIN", "ALL"), ("NET_RAW",))


def test_seccomp_profiles_are_below_their_directory_alone(tmp_path: Path) -> None:
    root = tmp_path / "seccomp"
    root.mkdir()
    (root / "good.json").write_text("{}")
    (tmp_path / "secret").write_text("{}")
    (root / "link.json").symlink_to(tmp_path / "secret")
    node = NodeSecurity(seccomp_root=root)

    def local(name: str) -> str:
        profile = {"type": "Localhost", "localhostProfile": name}
        return secured({"seccompProfile": profile}, node=node).seccomp_profile

    assert local("good.json") == str(root / "good.json")
    for outside in ("../secret", "link.json", "/etc/passwd"):
        with pytest.raises(ConfigError, match="is not below"):
            local(outside)
    with pytest.raises(ConfigError, match="cannot load seccomp profile"):
        local("absent.json")


def test_no_profile_means_what_the_nodes_owner_chose() -> None:
    assert secured().seccomp_profile == "unconfined"
    strict = NodeSecurity(seccomp_default=True)
    assert secured(node=strict).seccomp_profile == "runtime/default"
    own = {"seccompProfile": {"type": "Unconfined"}}
    assert secured(own, node=strict).seccomp_profile == "unconfined"


def test_proc_and_labels_are_handed_on() -> None:
    labels = {"level": "s0:c1", "role": "r", "type": "t", "user": "u"}
    found = secured({"procMount": "Unmasked"}, {"seLinuxOptions": labels})
    assert (found.unmasked_proc, found.selinux) == (True, labels)


def test_sysctls_go_with_the_containers_only_where_the_pod_has_no_namespaces() -> None:
    whole = {"sysctls": [{"name": "kernel/shm_rmid_forced", "value": "1"}]}
    assert secured(whole=whole).sysctls == {}
    assert secured(whole=whole, hostNetwork=True).sysctls == {"kernel.shm_rmid_forced": "1"}


LOCALHOST = {"type": "Localhost", "localhostProfile": "mine"}


@pytest.mark.parametrize(
    ("own", "whole", "annotation", "profile"),
    [
        ({}, {}, None, ""),
        ({}, {"appArmorProfile": LOCALHOST}, None, "mine"),
        ({"appArmorProfile": {"type": "Unconfined"}}, {"appArmorProfile": LOCALHOST}, None,
         "unconfined"),
        ({"appArmorProfile": {"type": "RuntimeDefault"}}, {}, "localhost/other", ""),
        ({}, {"appArmorProfile": LOCALHOST}, "localhost/other", "other"),
        ({}, {}, "unconfined", "unconfined"),
        ({}, {}, "runtime/default", ""),
    ],
)  # fmt: skip
def test_the_apparmor_profile_is_the_closest_one(
    own: Obj, whole: Obj, annotation: str | None, profile: str
) -> None:
    pod = make_pod(securityContext=whole)
    container = pod["spec"]["containers"][0] | {"securityContext": own}
    pod["spec"]["containers"] = [container]
    if annotation:
        pod["metadata"]["annotations"] = {f"{APPARMOR_ANNOTATION}main": annotation}
    found = make_security(pod, container, image=IMAGE, node=NodeSecurity())
    assert found.apparmor_profile == profile
    asks = bool(profile not in ("", "unconfined")) or "RuntimeDefault" in str(own)
    problem = apparmor_problem(pod, enabled=False)
    if asks or annotation == "runtime/default":
        assert problem is not None
        assert problem.message == "Cannot enforce AppArmor: AppArmor is not enabled on the host"
    assert apparmor_problem(pod, enabled=True) is None


def spec_of(security: Security) -> dict[str, Any]:
    spec = ContainerSpec(
        name="a", image="web", namespaces=Namespaces(net="/n", ipc="/i", uts="/u"),
        cgroup_parent="/e", log_path="/l", security=security,
        mounts=(Mount(target="/d", source="/s"),),
    )  # fmt: skip
    return plan_spec(spec, machine=Machine(), boot="b")


def test_what_podman_is_told_of_profiles_labels_and_users() -> None:
    plain = spec_of(Security())
    assert not plain.keys() & {"apparmor_profile", "selinux_opts", "unmask", "userns"}
    body = spec_of(
        Security(
            apparmor_profile="mine", selinux={"level": "s0:c1", "type": "t"}, unmasked_proc=True,
            id_range=IdRange(first=131072),
        )
    )  # fmt: skip
    assert body["apparmor_profile"] == "mine"
    assert body["selinux_opts"] == ["level:s0:c1", "type:t"]
    assert body["unmask"] == ["ALL"]
    mapping = [{"container_id": 0, "host_id": 131072, "size": 65536}]
    assert body["userns"] == {"nsmode": "private"}
    assert body["idmappings"] == {"UIDMap": mapping, "GIDMap": mapping}
    assert body["mounts"][0]["options"] == ["rbind", "rw", "rprivate", "idmap"]


def test_a_pod_keeps_its_range_of_ids_and_leaves_it_when_its_directory_goes(
    tmp_path: Path,
) -> None:
    first = IdRanges(tmp_path).get("a")
    other = IdRanges(tmp_path).get("b")
    assert (first.first, other.first) == (65536, 131072)
    assert IdRanges(tmp_path).get("a") == first
    (tmp_path / "a/userns").unlink()
    assert IdRanges(tmp_path).get("c") == first
