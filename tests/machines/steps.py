"""The steps, each a promise about a real machine. They run in the order of ``STEPS``."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab import CHECKOUT, PAYLOAD, WHEELS, Lab, acknowledged, expect
from machine import Machine, MachineError
from node_step import node

NFS = "/srv/nfs"
DEAF_SECONDS = 90
"""For so long systemd waits at shutdown for processes that do not hear SIGTERM."""
SERVER_MB, AGENT_MB = 90, 70
"""What an idle process may hold; on the server's machine both are one process."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """``needs`` are the steps whose machines it goes on with."""

    name: str
    run: Callable[[Lab], str]
    needs: tuple[str, ...] = ()


def install(lab: Lab) -> str:
    """From nothing to the example answering, with the one command of the manual."""
    one = lab.one
    lab.fresh(one)
    code, said = one.try_run(f"env EDGEK_URL=https://10.77.0.9:6443 sh {CHECKOUT}/install.sh")
    expect("a join without a token fails", (code, "needs EDGEK_TOKEN" in said), (1, True))
    expect("and changed nothing", one.try_run("test -e /opt/edgek")[0], 1)
    begun = time.monotonic()
    lab.install(one)
    took = time.monotonic() - begun
    expect("unit", one.run("systemctl is-active edgek; systemctl is-enabled edgek").split(),
           ["active", "enabled"])  # fmt: skip
    modes = one.run("stat -c %a /etc/edgek/edgek.env /etc/edgek/edgek.yaml").split()
    expect("modes of settings and kubeconfig", modes, ["600", "600"])
    lab.wait_for_node("one")
    one.run(f"podman load --quiet --input {PAYLOAD}/images.tar")
    lab.edgek(f"apply -f {CHECKOUT}/examples/hello")
    lab.wait_for_hello()
    return f"install.sh took {took:.0f} s"


def again(lab: Lab) -> str:
    """Run again it upgrades and changes settings, and no pod notices."""
    one = lab.one
    before = lab.containers(one)
    # This time from the checkout, whose package is built here, without a network.
    one.run(
        f"PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS} EDGEK_TOKEN=swordfish "
        f"{CHECKOUT}/install.sh server --write-kubeconfig-mode 0640",
        timeout=400,
    )
    expect("containers", lab.containers(one), before)
    expect("the new setting", one.run("stat -c %a /etc/edgek/edgek.yaml").strip(), "640")
    expect("tokens in arguments", one.try_run("ps axww | grep '[s]wordfish'")[1], "")
    code, said = one.try_run(
        f"env EDGEK_INSTALL_SOURCE={WHEELS} sh {CHECKOUT}/install.sh --https-listen-port x",
        timeout=400,
    )
    expect("a bad setting fails", (code, "does not start" in said), (1, True))
    lab.install(one, words="server")
    expect("settings that were taken back", "EDGEK_ARGS" in one.run("cat /etc/edgek/edgek.env"),
           False)  # fmt: skip
    expect("and kept", "EDGEK_TOKEN" in one.run("cat /etc/edgek/edgek.env"), True)
    lab.wait_for_hello()
    expect("containers", lab.containers(one), before)
    return ""


def reboot(lab: Lab) -> str:
    """A real reboot: all comes back by itself, and nothing holds it up on the way down."""
    lab.apply(_pod("deaf", node="one", script="exec sleep 3600"))
    lab.wait_for_pod("deaf")
    begun = time.monotonic()
    lab.one.reboot()
    lab.boot(lab.one)
    booted = time.monotonic() - begun
    expect("a reboot in less than systemd's last patience", booted < DEAF_SECONDS, True)
    lab.wait_for_hello()
    return f"down and up in {booted:.0f} s, the example answered after {_since(begun)}"


def power_cut(lab: Lab) -> str:
    """The power goes while objects are made: what was acknowledged is there afterwards."""
    one, python = lab.one, "/opt/edgek/bin/python"
    prefix = f"cut-{int(time.time())}"
    # setsid and closed files: the guest agent waits for whoever holds its pipe.
    one.run(f"setsid {python} {PAYLOAD}/checkout/tests/machines/writer.py {prefix} "
            "</dev/null >/dev/null 2>&1 &")  # fmt: skip
    console, marker = one.dir / "console.log", f"acknowledged {prefix}-"
    _until(lambda: len(acknowledged(console, marker)) > 50, "the API takes objects")
    one.power_cut()
    made = [f"{prefix}-{number}" for number in acknowledged(console, marker)]
    begun = time.monotonic()
    lab.boot(one)
    lab.wait_for_hello()
    took = _since(begun)
    found = {o["metadata"]["name"] for o in lab.get("configmaps")["items"]}
    expect("acknowledged objects that are lost", [n for n in made if n not in found], [])
    return f"{len(made)} acknowledged objects kept, the example answered after {took}"


def join(lab: Lab) -> str:
    """A second machine joins with the token, and runs a pod that the first can reach."""
    two = lab.two
    lab.fresh(two)
    token = lab.one.run("edgek token --only").strip()
    begun = time.monotonic()
    lab.install(two, f"EDGEK_URL=https://{lab.one.address}:6443", f"EDGEK_TOKEN={token}")
    took = _since(begun)
    lab.wait_for_node("two")
    two.run(f"podman load --quiet --input {PAYLOAD}/images.tar")
    lab.apply(_pod("far", node="two", image="edgek.io/hello:1"))
    address = lab.wait_for_pod("far")["status"]["podIP"]
    lab.one.wait_until(
        f"curl -sf -m 5 http://{address}:8080/cgi-bin/index.cgi", timeout=60, what="far answers"
    )
    return f"install.sh took {took}"


def nfs(lab: Lab) -> str:
    """A hanging NFS server holds up neither the deletion of its pod nor other pods."""
    one, two = lab.one, lab.two
    _export(two)
    volume = {"name": "share", "nfs": {"server": two.address, "path": NFS}}
    script = "while :; do date > /share/beat; cat /share/file > /seen; sleep 1; done"
    lab.apply(_pod("reader", node="one", script=script, volume=volume))
    lab.wait_for_pod("reader")
    see = _in_pod(one, "reader", "cat /seen")
    one.wait_until(f'[ "$({see})" = from-two ]', timeout=60, what="the share is read in the pod")
    two.cable(plugged=False)
    try:
        time.sleep(5)  # so that a read is under way that nobody answers
        begun = time.monotonic()
        lab.edgek("delete pod reader --grace-period=2 --timeout=120s", timeout=180)
        deleted = _since(begun)
        lab.apply(_pod("other", node="one", script="exec sleep 3600"))
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
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "media"}}
    writer = _pod("writer", node="one", script="while :; do date > /v/beat; sleep 1; done",
                  volume=volume)  # fmt: skip
    writer["spec"]["securityContext"] = {"runAsUser": 1000, "fsGroup": 4321}
    lab.apply(writer)
    lab.wait_for_pod("writer")
    directory = two.run(f"ls -d {NFS}/default-media-*").strip()
    expect("the directory's owner and mode", two.run(f"stat -c %u:%g:%a {directory}").strip(),
           "0:0:777")  # fmt: skip
    expect("groups", "4321" in one.run(_in_pod(one, "writer", "id -G")), True)
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
    lab.apply(_pod("looker", node="one", script="exec sleep 3600",
                   volume={"name": "v", "nfs": source}))  # fmt: skip
    lab.wait_for_pod("looker")
    code, said = one.try_run(_in_pod(one, "looker", "touch /v/x"))
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
    volume = {"name": "share", "nfs": {"server": two.address, "path": NFS}}
    script = "while :; do date > /share/beat; sleep 1; done"
    lab.apply(_pod("waiter", node="one", script=script, volume=volume))
    lab.wait_for_pod("waiter")
    two.cable(plugged=False)
    try:
        begun = time.monotonic()
        one.reboot(timeout=400)
        lab.boot(one)
        lab.wait_for_hello()
        took = _since(begun)
        one.wait_until(
            "KUBECONFIG=/etc/edgek/edgek.yaml edgek get events -o json | grep -q 'MountVolume.SetUp"
            " failed for volume .*share'", timeout=120, what="an event names the share"
        )  # fmt: skip
    finally:
        two.cable(plugged=True)
    two.run(f"rm -f {NFS}/beat")
    waited = two.wait_until(f"test -s {NFS}/beat", timeout=240, what="the pod is back")
    lab.edgek("delete pod waiter --timeout=120s", timeout=180)
    lab.wait_for_node("two")
    return f"up in {took} without the server, the pod back {waited:.0f} s after it"


def memory(lab: Lab) -> str:
    """What an idle edgek holds of a board with 512 MB."""
    both, agent = _rss(lab.one, "edgek"), _rss(lab.two, "edgek-agent")
    left = int(lab.one.run("awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo"))
    figures = f"server with agent {both} MB, agent {agent} MB, {left} MB left on the server"
    if both > SERVER_MB + AGENT_MB or agent > AGENT_MB:
        raise MachineError(f"too much memory: {figures}")
    return figures


def uninstall(lab: Lab) -> str:
    """``edgek uninstall`` leaves nothing."""
    for machine in (lab.two, lab.one):
        said = machine.run("[ ! -e /opt/edgek ] || edgek uninstall --yes", timeout=300)
        expect("edgek uninstall said a traceback", "Traceback" in said, False)
        left = machine.run(LEFTOVERS)
        expect(f"what is left on {machine.name}", left, "")
    return ""


LEFTOVERS = r"""
ps axo comm,args | grep -E '^(edgek|conmon|podman) '
grep -E 'edgek| nfs4? ' /proc/mounts
ip -o link | grep -vE '^[0-9]+: (lo|eth0|eth1):'
ip netns list
ip route | grep -vE 'eth0|eth1'
nft list tables
podman ps --all --quiet
for path in /opt/edgek /usr/local/bin/edgek /etc/edgek /var/lib/edgek /run/edgek /var/log/pods \
    /sys/fs/cgroup/edgek /etc/systemd/system/edgek*; do
    [ ! -e "$path" ] || echo "$path"
done
systemctl --no-legend list-units --all 'edgek*'
true
"""

STEPS = (
    Step(name="install", run=install),
    Step(name="reboot", run=reboot, needs=("install",)),
    Step(name="again", run=again, needs=("install",)),
    Step(name="node", run=node, needs=("install",)),
    Step(name="power-cut", run=power_cut, needs=("install",)),
    Step(name="join", run=join, needs=("install",)),
    Step(name="nfs", run=nfs, needs=("install", "join")),
    Step(name="nfs-claims", run=nfs_claims, needs=("install", "join")),
    Step(name="nfs-away", run=nfs_away, needs=("install", "join")),
    Step(name="memory", run=memory, needs=("install", "join")),
    Step(name="uninstall", run=uninstall, needs=("install", "join")),
)
QUICK = ("install", "reboot")


def _pod(
    name: str,
    *,
    node: str,
    image: str = "docker.io/library/busybox:1.36",
    script: str = "",
    volume: dict[str, Any] | None = None,
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": image}
    if script:
        container["command"] = ["sh", "-c", script]
    if volume:
        container["volumeMounts"] = [{"name": volume["name"], "mountPath": f"/{volume['name']}"}]
    spec = {"nodeName": node, "containers": [container], "volumes": [volume] if volume else []}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
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


def _in_pod(machine: Machine, pod: str, command: str) -> str:
    """The command to run one in the pod's container."""
    container = machine.run(f"podman ps --quiet --filter name=edgek_main_{pod}").strip()
    return f"podman exec {container} {command}"


def _rss(machine: Machine, unit: str) -> int:
    pid = machine.run(f"systemctl show --value -p MainPID {unit}").strip()
    return int(machine.run(f"awk '/VmRSS/ {{ print int($2 / 1024) }}' /proc/{pid}/status"))


def _since(begun: float) -> str:
    return f"{time.monotonic() - begun:.0f} s"


def _until(test: Callable[[], bool], what: str, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not test():
        if time.monotonic() > deadline:
            raise MachineError(f"{what}: not within {timeout} s")
        time.sleep(0.2)
