"""What keeps containers apart from each other and from the node, on real Podman."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.pid_holder import PidHolders
from tests.support.images import BUSYBOX
from tests.support.real_cluster import RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]

IDLE = "trap exit TERM; while :; do sleep 0.1; done"
CHOWN, NET_ADMIN, NET_RAW = 1 << 0, 1 << 12, 1 << 13
CONTAINERD_DEFAULT = 0xA80425FB
SECRET = "correct-horse-battery-staple"
OTHER_RUNTIME = '[engine.runtimes]\nother = ["/var/lib/edgek/other-crun"]\n'


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    def prepare(node: Space) -> dict[str, str]:
        (node.dir / "etc/containers/containers.conf").write_text(OTHER_RUNTIME)
        node.run("sh", "-c", "mkdir -p /var/lib/edgek/agent/seccomp && "
                 "cp $(command -v crun) /var/lib/edgek/other-crun")  # fmt: skip
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}  # fmt: skip
        folder = node.dir / "var/lib/edgek/agent/seccomp"
        (folder / "no-mkdir.json").write_text(json.dumps(profile))
        return {"allowed_unsafe_sysctls": "net.core.somaxconn,kernel.msg*"}

    with real_cluster(tmp_path_factory.mktemp("sec"), nodes=1, prepare=prepare) as up:
        yield up


def container(script: str = IDLE, name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": BUSYBOX, "command": ["sh", "-c", script], **more}


def apply(cluster: RealCluster, name: str, *containers: dict[str, Any], **spec: Any) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": list(containers), **spec},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def run(cluster: RealCluster, name: str, *containers: dict[str, Any], **spec: Any) -> None:
    apply(cluster, name, *containers, **spec)
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    except AssertionError as err:
        raise AssertionError(cluster.kubectl("describe", "pod", name)) from err


def sh(cluster: RealCluster, pod: str, script: str, name: str = "main", ok: bool = True) -> str:
    return cluster.kubectl("exec", pod, "-c", name, "--", "sh", "-c", script, ok=ok)


def process(cluster: RealCluster, pod: str, name: str = "main") -> dict[str, str]:
    lines = sh(cluster, pod, "cat /proc/1/status", name).splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def shows(cluster: RealCluster, text: str, *what: str) -> None:
    cluster.wait(f"{text!r} in {what}", lambda: text in cluster.kubectl(*what), 40)


def test_ids_and_groups_are_those_that_were_asked_for(cluster: RealCluster) -> None:
    context = {
        "runAsUser": 1000,
        "runAsGroup": 3000,
        "fsGroup": 2000,
        "runAsNonRoot": True,
        "supplementalGroups": [4000],
        "supplementalGroupsPolicy": "Merge",
        "seLinuxOptions": {"level": "s0:c1,c2"},
    }  # without SELinux: no effect
    run(
        cluster, "ids", container(), container(name="own", securityContext={"runAsUser": 7}),
        securityContext=context,
    )  # fmt: skip
    found = process(cluster, "ids")
    assert (found["Uid"].split()[0], found["Gid"].split()[0]) == ("1000", "3000")
    assert sorted(found["Groups"].split()) == ["2000", "3000", "4000"]
    assert process(cluster, "ids", "own")["Uid"].split()[0] == "7"


def test_who_must_not_be_root_is_not_and_is_told_why(cluster: RealCluster) -> None:
    node, named = cluster.bed.nodes[0], "localhost/named:1"
    node.run("podman", "build", "-q", "-t", named, "-", input=f"FROM {BUSYBOX}\nUSER nobody\n",
             capture_output=True)  # fmt: skip
    context = {"runAsNonRoot": True}
    apply(cluster, "root", container(), securityContext=context)
    apply(cluster, "named", container(image=named), securityContext=context)
    apply(cluster, "zero", container(securityContext={"runAsUser": 0}), securityContext=context)
    for pod, why in (
        ("root", "container has runAsNonRoot and image will run as root"),
        ("named", "container has runAsNonRoot and image has non-numeric user (nobody), cannot "
         "verify user is non-root"),
        ("zero", "container's runAsUser breaks non-root policy"),
    ):  # fmt: skip
        shows(cluster, f'Error: {why} (pod: "{pod}_default(', "describe", "pod", pod)
        [status] = cluster.json("pod", pod)["status"]["containerStatuses"]
        assert status["state"]["waiting"]["reason"] == "CreateContainerConfigError"


def test_a_node_that_merges_groups_refuses_to_be_strict(cluster: RealCluster) -> None:
    features = cluster.json("node", cluster.bed.nodes[0].name)["status"]["features"]
    assert features["supplementalGroupsPolicy"] is False
    apply(cluster, "strict", container(), securityContext={"supplementalGroupsPolicy": "Strict"})
    shows(cluster, "SupplementalGroupsPolicy=Strict is not supported", "describe", "pod", "strict")
    status = cluster.json("pod", "strict")["status"]
    assert (status["phase"], status["reason"]) == (
        "Failed", "SupplementalGroupsPolicyNotSupported"
    )  # fmt: skip


def test_a_profile_that_the_kernel_cannot_enforce_fails_the_pod(cluster: RealCluster) -> None:
    if Path("/sys/module/apparmor").exists():
        pytest.skip("this kernel has AppArmor; tests/machines/node_step.py is for it")
    profile = {"type": "Localhost", "localhostProfile": "mine"}
    apply(cluster, "confined", container(securityContext={"appArmorProfile": profile}))
    why = "Cannot enforce AppArmor: AppArmor is not enabled on the host"
    shows(cluster, why, "describe", "pod", "confined")
    status = cluster.json("pod", "confined")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "AppArmor")
    said = cluster.kubectl("logs", "confined", ok=False)
    assert 'container "main" in pod "confined" is not available' in said


def test_capabilities_start_from_containerds_and_are_added_and_dropped(
    cluster: RealCluster,
) -> None:
    every = {"drop": ["ALL"], "add": ["CHOWN"]}
    more = {"add": ["NET_ADMIN"], "drop": ["NET_RAW"]}
    run(
        cluster, "caps",
        container(name="plain"),
        container(name="one", securityContext={"capabilities": every}),
        container(name="more", securityContext={"capabilities": more}),
    )  # fmt: skip

    def effective(name: str) -> int:
        return int(process(cluster, "caps", name)["CapEff"], 16)

    assert effective("plain") == CONTAINERD_DEFAULT
    assert effective("one") == CHOWN
    assert effective("more") == (CONTAINERD_DEFAULT | NET_ADMIN) & ~NET_RAW


def test_what_a_process_may_do_is_narrowed_or_widened(cluster: RealCluster) -> None:
    tight = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
             "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    local = {"type": "Localhost", "localhostProfile": "no-mkdir.json"}
    run(
        cluster, "narrow",
        container(name="plain"),
        container(name="tight", securityContext=tight),
        container(name="local", securityContext={"seccompProfile": local}),
        container(name="wide", securityContext={"privileged": True}),
    )  # fmt: skip
    plain, held = process(cluster, "narrow", "plain"), process(cluster, "narrow", "tight")
    assert (plain["NoNewPrivs"], plain["Seccomp"]) == ("0", "0")
    assert (held["NoNewPrivs"], held["Seccomp"]) == ("1", "2")
    assert "Read-only file system" in sh(cluster, "narrow", "touch /x", "tight", ok=False)
    assert "not permitted" in sh(cluster, "narrow", "mkdir /x", "local", ok=False)
    sh(cluster, "narrow", "touch /x", "local")
    wide = sh(cluster, "narrow", "grep ' /sys ' /proc/mounts; ls /dev | wc -l", "wide")
    few = sh(cluster, "narrow", "grep ' /sys ' /proc/mounts; ls /dev | wc -l", "plain")
    assert " rw," in wide
    assert " ro," in few
    assert int(wide.split()[-1]) > int(few.split()[-1])


def test_a_seccomp_profile_that_is_not_there_is_named(cluster: RealCluster) -> None:
    local = {"type": "Localhost", "localhostProfile": "absent.json"}
    apply(cluster, "absent", container(securityContext={"seccompProfile": local}))
    shows(cluster, "cannot load seccomp profile", "describe", "pod", "absent")


def test_sysctls_are_set_in_the_pods_own_namespaces(cluster: RealCluster) -> None:
    wanted = {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_local_port_range": "4000\t4100",
              "net.core.somaxconn": "77", "net.ipv4.ip_unprivileged_port_start": "80"}  # fmt: skip
    sysctls = [{"name": n, "value": v.replace("\t", " ")} for n, v in wanted.items()]
    run(cluster, "sysctls", container(), securityContext={"sysctls": sysctls})
    paths = " ".join("/proc/sys/" + name.replace(".", "/") for name in wanted)
    assert sh(cluster, "sysctls", f"cat {paths}").splitlines() == list(wanted.values())
    host = cluster.bed.nodes[0].run("cat", "/proc/sys/net/core/somaxconn", capture_output=True)
    assert host.stdout.strip() != "77"
    unsafe = {"sysctls": [{"name": "kernel.sem", "value": "1 2 3 4"}]}
    apply(cluster, "forbidden", container(), securityContext=unsafe)
    shows(cluster, 'forbidden sysctl: "kernel.sem" not allowlisted', "describe", "pod", "forbidden")
    status = cluster.json("pod", "forbidden")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "SysctlForbidden")


def test_containers_share_processes_and_one_may_die_alone(cluster: RealCluster) -> None:
    run(
        cluster, "sharing", container(name="one"), container(name="two"),
        shareProcessNamespace=True,
    )  # fmt: skip
    assert sh(cluster, "sharing", "cat /proc/1/comm", "one").strip() == "catatonit"
    # Nothing of the node is to be seen behind process 1, not even for who may look.
    assert "denied" in sh(cluster, "sharing", "ls /proc/1/root/", "one", ok=False)
    sh(cluster, "sharing", "set -- $(ps | grep '[t]rap exit'); kill -KILL $1", "two")

    def restarts() -> list[int]:
        found = cluster.json("pod", "sharing")["status"]["containerStatuses"]
        return sorted(s["restartCount"] for s in found)

    cluster.wait("one restart", lambda: restarts() == [0, 1], 30)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/sharing", "--timeout=30s")
    seen = sh(cluster, "sharing", "ps | grep -c '[t]rap exit'", "one")
    assert int(seen) >= 2
    cluster.kubectl("delete", "pod", "sharing")
    node = cluster.bed.nodes[0]
    gone = lambda: not list((node.dir / "run/edgek/holders").glob("*-*"))  # noqa: E731
    cluster.wait("its process 1 to go", gone, 30)


def test_the_hosts_namespaces_are_shared_on_demand(cluster: RealCluster) -> None:
    run(
        cluster, "hostly", container(), hostPID=True, hostIPC=True, hostNetwork=True,
    )  # fmt: skip
    script = "cd /proc/self/ns; for n in pid ipc net uts; do readlink $n; done"
    node = cluster.bed.nodes[0].run("sh", "-c", script, capture_output=True)
    assert sh(cluster, "hostly", script) == node.stdout


def test_containers_in_the_hosts_network_share_memory_of_their_own(
    cluster: RealCluster,
) -> None:
    shared = [{"name": "kernel.shm_rmid_forced", "value": "1"}]
    run(
        cluster, "hostnet", container(name="one"), container(name="two"), hostNetwork=True,
        securityContext={"sysctls": shared},
    )  # fmt: skip
    script = "readlink /proc/self/ns/ipc; cat /proc/sys/kernel/shm_rmid_forced"
    one, two = sh(cluster, "hostnet", script, "one"), sh(cluster, "hostnet", script, "two")
    node = cluster.bed.nodes[0].run("sh", "-c", script, capture_output=True)
    assert one == two
    assert one.split()[1] == "1"
    assert one.split()[0] != node.stdout.split()[0]
    cluster.kubectl("delete", "pod", "hostnet")


def test_a_pod_has_users_of_its_own(cluster: RealCluster) -> None:
    mounts = [
        {"name": "v", "mountPath": "/v"},
        {"name": "v", "mountPath": "/deep", "subPath": "a/b"},
        {"name": "fast", "mountPath": "/fast"},
    ]
    shared = [{"name": "v", "emptyDir": {}}, {"name": "fast", "emptyDir": {"medium": "Memory"}}]
    bare = {"procMount": "Unmasked"}
    for name in ("users-a", "users-b"):
        run(cluster, name, container(volumeMounts=mounts),
            container(name="two", securityContext=bare), hostUsers=False,
            volumes=shared)  # fmt: skip
    maps = [
        sh(cluster, pod, "cat /proc/self/uid_map", name).split()
        for pod in ("users-a", "users-b") for name in ("main", "two")
    ]  # fmt: skip
    assert [m[0::2] for m in maps] == [["0", "65536"]] * 4
    first, second = int(maps[0][1]), int(maps[2][1])
    assert maps[0] == maps[1]
    assert min(first, second) >= 65536
    assert abs(first - second) >= 65536
    # What it makes in a volume is root's there and for the node, not the mapped id's.
    sh(cluster, "users-a", "touch /v/x /deep/x /fast/x; echo ok > /dev/termination-log")
    owners = sh(cluster, "users-a", "stat -c %u /v/x /v/a/b/x /fast/x /etc/hosts")
    assert owners.split() == ["0"] * 4
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert sh(cluster, "users-a", f"wc -c < {token}").strip() != "0"
    hidden = "grep -c ' /proc/' /proc/mounts || true"
    assert int(sh(cluster, "users-a", hidden)) > int(sh(cluster, "users-a", hidden, "two")) == 0
    # Low ports need no right over the pod's network, which it does not have.
    script = "httpd -p 80 -h /v; until wget -q -O /dev/null 127.0.0.1/x; do sleep 0.1; done"
    sh(cluster, "users-a", script)


def test_users_of_its_own_share_volumes_by_their_group(cluster: RealCluster) -> None:
    cluster.kubectl("create", "configmap", "shown", "--from-literal=key=value")
    cluster.kubectl("create", "secret", "generic", "kept", "--from-literal=key=value")
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claimed"},
             "spec": {"accessModes": ["ReadWriteOnce"],
                      "resources": {"requests": {"storage": "1Mi"}}}}  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    volumes: dict[str, Any] = {
        "disk": {"emptyDir": {}}, "fast": {"emptyDir": {"medium": "Memory"}},
        "shown": {"configMap": {"name": "shown"}},
        "kept": {"secret": {"secretName": "kept", "defaultMode": 0o400}},
        "claimed": {"persistentVolumeClaim": {"claimName": "claimed"}},
        "host": {"hostPath": {"path": "/var/lib/edgek/theirs", "type": "DirectoryOrCreate"}},
    }  # fmt: skip
    run(
        cluster, "grouped",
        container(volumeMounts=[{"name": n, "mountPath": f"/{n}"} for n in volumes]),
        hostUsers=False, volumes=[{"name": n, **v} for n, v in volumes.items()],
        securityContext={"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000},
    )  # fmt: skip
    assert sh(cluster, "grouped", "cat /shown/key /kept/key") == "valuevalue"
    assert sh(cluster, "grouped", "stat -Lc '%u:%g %a' /kept/key") == "0:2000 440\n"
    owners = sh(cluster, "grouped", "touch /disk/x /fast/x /claimed/x; stat -c %u:%g /*/x")
    assert owners.split() == ["1000:3000", "1000:2000", "1000:2000"]
    assert "denied" in sh(cluster, "grouped", "touch /host/x", ok=False)
    node = cluster.bed.nodes[0]
    [made] = (node.dir / "var/lib/edgek/agent/pods").glob("*/**/disk/x")
    assert (made.stat().st_uid, made.stat().st_gid) == (1000, 2000)  # nothing mapped on the disk


def test_a_runtime_class_leads_to_another_runtime(cluster: RealCluster) -> None:
    for name, handler in (("other", "other"), ("unknown", "absent")):
        body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
                "metadata": {"name": name}, "handler": handler}  # fmt: skip
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    run(cluster, "elsewhere", container(readinessProbe=probe), runtimeClassName="other")
    node = cluster.bed.nodes[0]
    found = node.run(
        "podman", "ps", "--filter", "label=io.edgek.pod-name=elsewhere", "-q", capture_output=True
    ).stdout.split()
    told = node.run("podman", "inspect", "-f", "{{.OCIRuntime}}", *found, capture_output=True)
    assert told.stdout.split() == ["other"]
    apply(cluster, "nowhere", container(), runtimeClassName="unknown")
    shows(
        cluster, 'no runtime for "absent" is configured', "describe", "pod", "nowhere",
    )  # fmt: skip
    cluster.kubectl("delete", "pod", "elsewhere", "nowhere", "--wait=false")


def test_a_field_that_is_not_kept_is_refused_by_name(cluster: RealCluster) -> None:
    volumes = [{"name": "v", "emptyDir": {"mode": 448}}]
    apply(cluster, "refused", container(), volumes=volumes)
    shows(cluster, "spec.volumes[0].emptyDir.mode is refused", "describe", "pod", "refused")


def test_secrets_stay_out_of_files_others_can_read_and_of_every_argv(
    cluster: RealCluster,
) -> None:
    literal = f"--from-literal=key={SECRET}"
    cluster.kubectl("create", "secret", "generic", "hidden", literal)
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "key"}}}]
    volumes = [{"name": "s", "secret": {"secretName": "hidden"}}]
    mounts = [{"name": "s", "mountPath": "/s"}]
    run(cluster, "hiding", container(env=env, volumeMounts=mounts), volumes=volumes)
    token = (cluster.bed.server.dir / "var/lib/edgek/server/node-token").read_text().strip()
    node = cluster.bed.nodes[0]
    script = r"""
cd / && for top in /var/lib/edgek /run/edgek /etc/edgek /var/log; do
    [ -d $top ] && grep -rlsF -e "$1" -e "$2" -e 'PRIVATE KEY' $top
done | while read -r file; do
    reach=yes; at=$file
    case $(stat -c %A "$file") in ???????r*) ;; *) reach= ;; esac
    while [ $at != / ]; do
        at=${at%/*}; at=${at:-/}
        case $(stat -c %A "$at") in ?????????[xt]) ;; *) reach= ;; esac
    done
    [ "$reach" ] && echo "$file"
done
grep -aslF -e "$1" -e "$2" /proc/[0-9]*/cmdline
grep -F -e "$1" -e "$2" /var/log/pods -rs
true
"""
    found = node.run("sh", "-c", script, "sh", SECRET, token, capture_output=True)
    own = re.compile(r"/proc/\d+/cmdline")  # the search itself has it in its argv
    left = [line for line in found.stdout.splitlines() if not own.fullmatch(line)]
    assert left == []
    log = (node.dir / "edgek.log").read_text()
    assert SECRET not in log
    assert token not in log
    assert os.stat(node.dir / "run/edgek").st_mode & 0o077 == 0


def test_process_1_of_a_shared_namespace_is_found_again_and_replaced(tmp_path: Path) -> None:
    holders = PidHolders(tmp_path)
    first = holders.start("uid")
    try:
        assert PidHolders(tmp_path).start("uid") == first
        assert sorted(os.listdir(f"/proc/{first}/root")) == ["catatonit"]
        assert sorted(os.listdir(f"/proc/{first}/root/..")) == ["catatonit"]
        status = Path(f"/proc/{first}/status").read_text()
        assert re.findall(r"(?:Uid|CapPrm|NSpid):\s+(.*)", status) == [
            "\t".join(["65535"] * 4), f"{first}\t1", "0" * 16,
        ]  # fmt: skip
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        second = holders.start("uid")
        assert second != first
        assert not Path(f"/proc/{first}").exists()
    finally:
        holders.stop("uid")
    assert (holders.known(), holders.find("uid")) == ([], 0)
