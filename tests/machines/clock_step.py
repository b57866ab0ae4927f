"""Boards without a clock battery: a boot in the past, and the steps that NTP makes of it."""

import shlex
import time
from datetime import UTC, datetime, timedelta

from lab import Lab, expect, since, until
from machine import Machine, MachineError
from objects import pod

PAST = "2024-02-01T00:00:00"
"""systemd sets it on, to when it was built itself."""
DAY = 86400
ADMIN = "KUBECONFIG=/etc/edgek/edgek.yaml"
YEARS = timedelta(days=800)
"""More than certificates of nodes, server and admin are valid for."""
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
ISSUED = (
    f"cut -d. -f2 {TOKEN} | tr _- /+ | sed 's/$/==/' | base64 -d 2>/dev/null"
    " | sed 's/.*\"iat\":\\([0-9]*\\).*/\\1/'"
)


def clock(lab: Lab) -> str:
    """Pods run whatever the clock says; when it is set, no container ends, and certificates and
    tokens are renewed."""
    machines = lab.machines
    lab.apply(*(pod(f"timer-{m.name}", node=m.name, script="exec sleep 36000") for m in machines))
    for machine in machines:
        lab.wait_for_pod(f"timer-{machine.name}")
    took = [_boot_in_the_past(lab, machine) for machine in machines]
    before = [lab.containers(m) for m in machines]
    for what, ahead in (
        ("the right time", timedelta()),
        ("years later", YEARS),
        ("the right time again", timedelta()),
    ):
        _set(machines, datetime.now(UTC) + ahead)
        _works(lab, what)
        expect(f"containers at {what}", [lab.containers(m) for m in machines], before)
    lab.edgek("delete pod timer-one timer-two --grace-period=1", timeout=180)
    return f"pods ran {' and '.join(took)} after a boot in the past"


def _boot_in_the_past(lab: Lab, machine: Machine) -> str:
    wanted = len(lab.containers(machine))
    machine.power_cut()
    begun = time.monotonic()
    lab.boot(machine, clock=PAST)
    behind = time.time() - int(machine.run("date +%s"))
    expect("a clock that is behind", behind > 2 * DAY, True)
    until(lambda: len(lab.containers(machine)) == wanted, "pods run", timeout=400)
    return since(begun)


def _set(machines: tuple[Machine, ...], moment: datetime) -> None:
    for machine in machines:
        machine.run(f"date -s @{moment.timestamp():.0f}")


def _works(lab: Lab, when: str) -> None:
    """Nodes are heard of, commands reach pods, and tokens are of this time."""
    until(lambda: _up(lab), f"both nodes are ready at {when}", timeout=180)
    for name in ("timer-one", "timer-two"):
        until(lambda name=name: _in_time(lab, name), f"{name} has a token at {when}", timeout=180)
    lab.wait_for_hello()


def _up(lab: Lab) -> bool:
    """The heartbeat is of this time, or the node's state might be of before."""
    try:
        for name in ("one", "two"):
            conditions = lab.get(f"node {name}")["status"]["conditions"]
            if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                return False
            lease = lab.get(f"lease {name} -n kube-node-lease")["spec"]["renewTime"]
            here = lab.one.run("date -u +%Y-%m-%dT%H").strip()
            if not lease.startswith(here[:10]):
                return False
    except MachineError:
        return False
    return True


def _in_time(lab: Lab, name: str) -> bool:
    try:
        issued = int(lab.one.run(f"{ADMIN} edgek exec {name} -- sh -c {shlex.quote(ISSUED)}"))
    except (MachineError, ValueError):
        return False
    return abs(int(lab.one.run("date +%s")) - issued) < DAY
