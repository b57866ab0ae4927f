"""The steps, each a promise about a real machine. They run in the order of ``STEPS``."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from address_step import address
from clock_step import clock
from lab import CHECKOUT, PAYLOAD, WHEELS, Lab, acknowledged, expect, since, until
from machine import Machine, MachineError
from nfs_step import nfs, nfs_away, nfs_claims
from no_memory_step import no_memory
from node_step import node
from objects import HELLO, pod
from offline_step import offline
from pressure_step import pressure

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
    lab.apply(pod("deaf", node="one", script="exec sleep 3600"))
    lab.wait_for_pod("deaf")
    begun = time.monotonic()
    lab.one.reboot()
    lab.boot(lab.one)
    booted = time.monotonic() - begun
    expect("a reboot in less than systemd's last patience", booted < DEAF_SECONDS, True)
    lab.wait_for_hello()
    return f"down and up in {booted:.0f} s, the example answered after {since(begun)}"


def power_cut(lab: Lab) -> str:
    """The power goes while objects are made: what was acknowledged is there afterwards."""
    one, python = lab.one, "/opt/edgek/bin/python"
    prefix = f"cut-{int(time.time())}"
    # setsid and closed files: the guest agent waits for whoever holds its pipe.
    one.run(f"setsid {python} {PAYLOAD}/checkout/tests/machines/writer.py {prefix} "
            "</dev/null >/dev/null 2>&1 &")  # fmt: skip
    console, marker = one.dir / "console.log", f"acknowledged {prefix}-"
    until(lambda: len(acknowledged(console, marker)) > 50, "the API takes objects")
    one.power_cut()
    made = [f"{prefix}-{number}" for number in acknowledged(console, marker)]
    begun = time.monotonic()
    lab.boot(one)
    lab.wait_for_hello()
    took = since(begun)
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
    took = since(begun)
    lab.wait_for_node("two")
    two.run(f"podman load --quiet --input {PAYLOAD}/images.tar")
    lab.apply(pod("far", node="two", image=HELLO))
    address = lab.wait_for_pod("far")["status"]["podIP"]
    lab.one.wait_until(
        f"curl -sf -m 5 http://{address}:8080/cgi-bin/index.cgi", timeout=60, what="far answers"
    )
    return f"install.sh took {took}"


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
    Step(name="offline", run=offline, needs=("install", "join")),
    Step(name="pressure", run=pressure, needs=("install", "join")),
    Step(name="address", run=address, needs=("install", "join")),
    Step(name="clock", run=clock, needs=("install", "join")),
    Step(name="memory", run=memory, needs=("install", "join")),
    Step(name="no-memory", run=no_memory, needs=("install",)),
    Step(name="uninstall", run=uninstall, needs=("install", "join")),
)
QUICK = ("install", "reboot")


def _rss(machine: Machine, unit: str) -> int:
    pid = machine.run(f"systemctl show --value -p MainPID {unit}").strip()
    return int(machine.run(f"awk '/VmRSS/ {{ print int($2 / 1024) }}' /proc/{pid}/status"))
