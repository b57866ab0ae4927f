"""File servers: what hangs, what comes back, and what a share is to a claim."""

import time
from typing import Any

from lab import Lab, expect, since
from machine import Machine
from objects import in_pod, pod

NFS = "/srv/nfs"


def nfs(lab: Lab) -> str:
    """A hanging NFS server holds up neither the deletion of its pod nor other pods."""
    one, two = lab.one, lab.two
    _export(two)
    volumes = {"share": {"nfs": {"server": two.address, "path": NFS}}}
    script = "while :; do date > /share/beat; cat /share/file > /seen; sleep 1; done"
    lab.apply(pod("reader", node="one", script=script, volumes=volumes))
    lab.wait_for_pod("reader")
    see = in_pod(one, "reader", "cat /seen")
    one.wait_until(f'[ "$({see})" = from-two ]', timeout=60, what="the share is read in the pod")
    two.cable(plugged=False)
    try:
        time.sleep(5)  # so that a read is under way that nobody answers
        begun = time.monotonic()
        lab.edgek("delete pod reader --grace-period=2 --timeout=120s", timeout=180)
        deleted = since(begun)
        lab.apply(pod("other", node="one", script="exec sleep 3600"))
        lab.wait_for_pod("other", timeout=120)
    finally:
        two.cable(plugged=True)
    one.wait_until("! grep ' nfs' /proc/mounts", timeout=180, what="the share is unmounted")
    lab.wait_for_node("two")
    return f"pod deleted in {deleted} with its NFS server gone"


def nfs_claims(lab: Lab) -> str:
    """Directories on a share: options, groups, a restart of edgek, read-only, archived."""
    one, two = lab.one, lab.two
    _export(two)
    lab.apply(*_claim("media", two.address))
    volumes = {"v": {"persistentVolumeClaim": {"claimName": "media"}}}
    writer = pod("writer", node="one", script="while :; do date > /v/beat; sleep 1; done",
                  volumes=volumes)  # fmt: skip
    writer["spec"]["securityContext"] = {"runAsUser": 1000, "fsGroup": 4321}
    lab.apply(writer)
    lab.wait_for_pod("writer")
    directory = two.run(f"ls -d {NFS}/default-media-*").strip()
    expect("the directory's owner and mode", two.run(f"stat -c %u:%g:%a {directory}").strip(),
           "0:0:777")  # fmt: skip
    expect("groups", "4321" in one.run(in_pod(one, "writer", "id -G")), True)
    expect("a file's owner", two.run(f"stat -c %u {directory}/beat").strip(), "1000")
    mounted = one.run("grep '/volumes/nfs/v nfs4' /proc/mounts")
    expect("options", {"noatime", "vers=4.1"} <= set(mounted.split()[3].split(",")), True)
    before, table = lab.containers(one), one.run("grep -c ' nfs4 ' /proc/mounts")
    one.run("systemctl restart edgek", timeout=300)
    lab.wait_for_node("one")
    expect("containers after a restart of edgek", lab.containers(one), before)
    expect("mounts after it", one.run("grep -c ' nfs4 ' /proc/mounts"), table)
    two.run(f"rm {directory}/beat")
    two.wait_until(f"test -s {directory}/beat", timeout=30, what="the pod writes on")
    source = {"server": two.address, "path": NFS, "readOnly": True}
    lab.apply(pod("looker", node="one", script="exec sleep 3600",
                   volumes={"v": {"nfs": source}}))  # fmt: skip
    lab.wait_for_pod("looker")
    code, said = one.try_run(in_pod(one, "looker", "touch /v/x"))
    expect("writing where it is read-only", (code, "Read-only" in said), (1, True))
    lab.edgek("delete pod writer looker --timeout=120s", timeout=180)
    lab.edgek("delete pvc media --timeout=60s")
    archived = f"{NFS}/archived-{directory.rpartition('/')[2]}"
    two.wait_until(f"test -s {archived}/beat", timeout=180, what="the directory is archived")
    one.wait_until("! grep ' nfs4 ' /proc/mounts", timeout=60, what="all is unmounted")
    return ""


def nfs_away(lab: Lab) -> str:
    """A node reboots while its file server is away: it comes up, and the pod when that is back."""
    one, two = lab.one, lab.two
    _export(two)
    volumes = {"share": {"nfs": {"server": two.address, "path": NFS}}}
    script = "while :; do date > /share/beat; sleep 1; done"
    lab.apply(pod("waiter", node="one", script=script, volumes=volumes))
    lab.wait_for_pod("waiter")
    # Else what replaces the example's pods, which the shutdown ends, may go where nobody reaches
    # it, and stays there for five minutes.
    lab.apply(_cordoned("two", True))
    two.cable(plugged=False)
    try:
        begun = time.monotonic()
        one.reboot(timeout=400)
        lab.boot(one)
        lab.wait_for_hello()
        took = since(begun)
        one.wait_until(
            "KUBECONFIG=/etc/edgek/edgek.yaml edgek get events -o json | grep -q 'MountVolume.SetUp"
            " failed for volume .*share'", timeout=120, what="an event names the share"
        )  # fmt: skip
    finally:
        two.cable(plugged=True)
    lab.apply(_cordoned("two", False))
    two.run(f"rm -f {NFS}/beat")
    waited = two.wait_until(f"test -s {NFS}/beat", timeout=240, what="the pod is back")
    lab.edgek("delete pod waiter --timeout=120s", timeout=180)
    lab.wait_for_node("two")
    return f"up in {took} without the server, the pod back {waited:.0f} s after it"


def _cordoned(node: str, cordoned: bool) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node},
        "spec": {"unschedulable": cordoned},
    }


def _export(machine: Machine) -> None:
    machine.run(f"mkdir -p {NFS}; echo from-{machine.name} > {NFS}/file; "
                f"echo '{NFS} *(rw,no_root_squash,no_subtree_check)' > /etc/exports; "
                "systemctl restart nfs-server")  # fmt: skip


def _claim(name: str, server: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A claim of a class of directories on the share."""
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "share"},
        "provisioner": "edgek.io/nfs",
        "parameters": {"server": server, "share": NFS},
        "mountOptions": ["noatime", "nfsvers=4.1"],
    }
    spec = {
        "storageClassName": "share",
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Mi"}},
    }
    metadata = {"name": name, "namespace": "default"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    return made, claim | {"spec": spec}
