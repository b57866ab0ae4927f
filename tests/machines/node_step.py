"""What only a machine with cgroup v2, AppArmor and Debian's runc shows of a node."""

from functools import partial

from lab import Lab, expect
from objects import pod

NO_WRITE = """profile edge-nowrite flags=(attach_disconnected,mediate_deleted) {
  file,
  deny /tmp/** w,
  signal,
}"""
SLEEP = "cat /proc/self/attr/current; touch /tmp/no; exec sleep 3600"
EATER = "sh -c 'x=aaaaaaaa; while :; do x=$x$x; done'; echo went on; sleep 3600"
"""Its child is killed for want of memory; as upstream the container ends with it."""


def node(lab: Lab) -> str:
    """Limits are in the kernel's files, profiles hold, and what cannot be had is said."""
    one = lab.one
    on_one = partial(pod, node="one", script=SLEEP, restartPolicy="Never")
    one.run(f"printf '%s\\n' '{NO_WRITE}' >/etc/apparmor.d/edge-nowrite; "
            "apparmor_parser -r /etc/apparmor.d/edge-nowrite")  # fmt: skip
    lab.apply(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "runc"},
         "handler": "runc"},
        on_one("limited", resources={"requests": {"cpu": "100m"},
                                     "limits": {"cpu": "500m", "memory": "32Mi"}}),
        on_one("eater", script=EATER, resources={"limits": {"memory": "24Mi"}}),
        on_one("kept", profile={"type": "Localhost", "localhostProfile": "edge-nowrite"}),
        on_one("nothing", profile={"type": "Localhost", "localhostProfile": "not-there"}),
        on_one("under-runc", runtimeClassName="runc"),
    )  # fmt: skip
    limited = lab.wait_for_pod("limited")
    top = f"/sys/fs/cgroup/edgek/burstable/pod{limited['metadata']['uid']}"
    files = f"cd {top}/libpod-* && cat cpu.max memory.max memory.swap.max memory.oom.group"
    expect("limits", one.run(files).split("\n"), ["50000 100000", str(32 << 20), "0", "1", ""])
    for name in ("kept", "under-runc"):
        lab.wait_for_pod(name)
    expect("the profile", "Permission denied" in lab.edgek("logs kept"), True)
    for name, reason in (("eater", "OOMKilled"), ("nothing", "StartError")):
        one.wait_until(
            f"KUBECONFIG=/etc/edgek/edgek.yaml edgek get pod {name} -o json | grep -q {reason}",
            timeout=120,
            what=f"{name} ends as {reason}",
        )
    lab.edgek("delete pod limited eater kept nothing under-runc --grace-period=1")
    return ""
