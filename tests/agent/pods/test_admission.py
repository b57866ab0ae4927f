"""Which pods a node takes, and in whose words it refuses the others."""

from typing import Any

import pytest

from agent.pods.admission import admit
from agent.pods.etc import DnsSettings
from agent.pods.isolation import NodeSecurity
from agent.pods.memory import Host
from agent.pods.preemption import plan_preemption
from edgek.api.meta import Obj, name
from tests.support.pods import make_pod

NODE = {
    "metadata": {"name": "node1", "labels": {"disk": "ssd"}},
    "spec": {"taints": [{"key": "old", "effect": "NoExecute"}]},
}
TOLERANT = {"tolerations": [{"operator": "Exists"}]}


def host(**more: Any) -> Host:
    values: dict[str, Any] = {
        "node_name": "node1",
        "node_ip": "192.0.2.1",
        "dns": DnsSettings(cluster_dns="", cluster_domain="cluster.local"),
        "allocatable": {"cpu": "1", "memory": "1Gi", "pods": "10"},
    }
    return Host(**(values | more))


def asking(name: str = "web", cpu: str = "100m", memory: str = "", **spec: Any) -> Obj:
    pod = make_pod(name, **spec)
    wanted = {"cpu": cpu} | ({"memory": memory} if memory else {})
    pod["spec"]["containers"][0]["resources"] = {"requests": wanted}
    return pod


def sysctl(name: str, **spec: Any) -> Obj:
    return make_pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)


@pytest.mark.parametrize(
    ("pod", "reason", "said"),
    [
        (asking(cpu="2"), "OutOfcpu",
         "Node didn't have enough resource: cpu, requested: 2000, used: 500, capacity: 1000"),
        (asking(memory="2Gi"), "OutOfmemory",
         "Node didn't have enough resource: memory, requested: 2147483648, used: 0, "
         "capacity: 1073741824"),
        (make_pod(securityContext={"supplementalGroupsPolicy": "Strict"}),
         "SupplementalGroupsPolicyNotSupported",
         "SupplementalGroupsPolicy=Strict is not supported in this node"),
        (make_pod(os={"name": "windows"}), "PodOSNotSupported",
         "Failed to admit pod as the OS field doesn't match node OS"),
        (sysctl("net.core.somaxconn"), "SysctlForbidden",
         'forbidden sysctl: "net.core.somaxconn" not allowlisted'),
        (sysctl("net/ipv4/tcp_syncookies", hostNetwork=True), "SysctlForbidden",
         'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled'),
        (sysctl("kernel.shm_rmid_forced", hostIPC=True), "SysctlForbidden",
         'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled'),
        (make_pod(nodeSelector={"disk": "hdd"}, **TOLERANT), "NodeAffinity",
         "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"),
        (make_pod(nodeSelector={"disk": "ssd"}), "TaintToleration",
         "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"),
        (make_pod(securityContext={"appArmorProfile": {"type": "RuntimeDefault"}}, **TOLERANT),
         "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"),
    ],
)  # fmt: skip
def test_a_pod_that_cannot_be_here_is_refused_in_the_kubelets_words(
    pod: Obj, reason: str, said: str
) -> None:
    failure = admit(pod, [asking("other", "500m")], host(node=lambda: NODE))
    assert failure is not None
    assert (failure.reason, failure.message) == (reason, said)


def test_a_port_of_the_node_is_given_once() -> None:
    def on(port: int, address: str = "") -> Obj:
        pod = make_pod(f"p{port}")
        pod["spec"]["containers"][0]["ports"] = [
            {"containerPort": 80, "hostPort": port, "hostIP": address}
        ]
        return pod

    failure = admit(on(80, "192.0.2.1"), [on(80)], host())
    assert failure is not None
    text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    assert (failure.reason, failure.message) == ("NodePorts", text)
    assert admit(on(80, "192.0.2.1"), [on(80, "192.0.2.2"), on(81)], host()) is None


@pytest.mark.parametrize(
    "pod",
    [
        make_pod(os={"name": "linux"}, nodeSelector={"disk": "ssd"}, **TOLERANT),
        sysctl("net.ipv4.ip_local_port_range", **TOLERANT),
        sysctl("kernel/msgmax", **TOLERANT),
        make_pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}, **TOLERANT),
    ],
)
def test_a_pod_that_fits_is_taken(pod: Obj) -> None:
    security = NodeSecurity(unsafe_sysctls=("kernel.msg*",))
    assert admit(pod, [], host(node=lambda: NODE, security=security)) is None


def test_a_static_pod_stays_whatever_taints_there_are() -> None:
    pod = make_pod()
    pod["metadata"]["annotations"] = {"kubernetes.io/config.source": "file"}
    assert admit(pod, [], host(node=lambda: NODE)) is None


def test_nothing_is_held_against_a_pod_while_the_node_is_not_known() -> None:
    assert admit(make_pod(nodeSelector={"disk": "hdd"}), [], host()) is None


def preempted(pod: Obj, *others: Obj) -> list[str]:
    return sorted(map(name, plan_preemption(pod, others, host())))


def test_a_critical_pod_takes_the_room_of_as_few_and_unimportant_pods_as_will_do() -> None:
    critical = asking("critical", "600m", priority=2_000_000_000)
    small, big = asking("small", "300m"), asking("big", "600m")
    other = asking("other", "100m", priority=2_000_001_000)
    assert preempted(critical, small, big, other) == ["big"]
    assert preempted(critical, small) == []
    assert preempted(asking("plain", "600m"), big) == []
    most = asking("most", "600m", priority=2_000_001_000)
    assert preempted(critical, most, small) == []
    assert preempted(asking("huge", "2", priority=2_000_000_000), big) == []


def test_nobody_goes_for_a_pod_that_is_refused_all_the_same() -> None:
    critical = asking("critical", "600m", priority=2_000_000_000, os={"name": "windows"})
    assert preempted(critical, asking("big", "600m")) == []
