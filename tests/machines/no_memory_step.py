"""A kernel without the memory controller, as Raspberry Pi OS boots it."""

from lab import Lab, expect, until
from objects import pod

HINT = "cgroup_enable=memory"
LIMITED = {"limits": {"memory": "32Mi"}}


def no_memory(lab: Lab) -> str:
    """Pods run, limits or not, and the node and the pod say that a limit of memory is not kept."""
    one = lab.one
    one.run("systemctl poweroff --no-block", check=False)
    until(lambda: one.pid is None, "the machine is off")
    lab.boot(one, kernel="cgroup_disable=memory")
    expect("the controller", "memory" in one.run("cat /sys/fs/cgroup/cgroup.controllers"), False)
    lab.wait_for_hello()
    lab.wait_for_node("one")
    lab.apply(pod("limited", node="one", script="exec sleep 36000", resources=LIMITED))
    lab.wait_for_pod("limited")
    for about in ("one", "limited"):
        until(lambda about=about: HINT in _events(lab, about), f"an event about {about} says it")
    expect("edgek node status", HINT in one.run("edgek node status"), True)
    expect("other limits", one.run("cat /sys/fs/cgroup/edgek/*/pod*/pids.max") != "", True)
    lab.edgek("delete pod limited --grace-period=1")
    one.run("systemctl poweroff --no-block", check=False)
    until(lambda: one.pid is None, "the machine is off")
    lab.boot(one)
    lab.wait_for_hello()
    return ""


def _events(lab: Lab, name: str) -> str:
    return lab.edgek(f"get events -A --field-selector involvedObject.name={name} -o json")
