"""What only a machine with cgroup v2, AppArmor and Debian's runc shows of a node."""

from typing import Any

from lab import Lab, expect

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
    one.run(f"printf '%s\\n' '{NO_WRITE}' >/etc/apparmor.d/edge-nowrite; "
            "apparmor_parser -r /etc/apparmor.d/edge-nowrite")  # fmt: skip
    lab.apply(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "runc"},
         "handler": "runc"},
        _pod("limited", resources={"requests": {"cpu": "100m"},
                                   "limits": {"cpu": "500m", "memory": "32Mi"}}),
        _pod("eater", script=EATER, resources={"limits": {"memory": "24Mi"}}),
        _pod("kept", profile={"type": "Localhost", "localhostProfile": "edge-nowrite"}),
        _pod("nothing", profile={"type": "Localhost", "localhostProfile": "not-there"}),
        _pod("under-runc", runtimeClassName="runc"),
    )  # fmt: skip
    pod = lab.wait_for_pod("limited")
    top = f"/sys/fs/cgroup/edgek/burstable/pod{pod['metadata']['uid']}"
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


def _pod(
    name: str,
    *,
    script: str = SLEEP,
    resources: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "docker.io/library/busybox:1.36",
        "command": ["sh", "-c", script],
        "resources": resources or {},
        "securityContext": {"appArmorProfile": profile} if profile else {},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": "one", "restartPolicy": "Never", "containers": [container], **spec},
    }
