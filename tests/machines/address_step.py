"""Another address by DHCP, while all runs."""

import time

from lab import Lab, expect, since, until
from lan import GATEWAY
from machine import Machine
from objects import HELLO, fetch, in_pod, pod

OTHER = "10.77.0.22"


def address(lab: Lab) -> str:
    """The node's address follows the machine's; no container ends, and pods stay in reach."""
    two = lab.two
    lab.apply(pod("mover", node="two", image=HELLO))
    own = lab.wait_for_pod("mover")["status"]["podIP"]
    before = lab.containers(two)
    begun = time.monotonic()
    _readdress(two, OTHER)
    until(lambda: _internal(lab) == OTHER, "the node's address follows", timeout=120)
    took = since(begun)
    _reach(lab, own)
    _readdress(two, two.address)
    until(lambda: _internal(lab) == two.address, "and follows again", timeout=120)
    _reach(lab, own)
    expect("hostIP", lab.get("pod mover")["status"]["hostIP"], two.address)
    expect("containers", lab.containers(two), before)
    lab.edgek("delete pod mover --grace-period=1", timeout=120)
    return f"the node had its new address {took} later"


def _readdress(machine: Machine, wanted: str) -> None:
    """As a DHCP client that was given another one."""
    machine.run(f"ip addr flush dev eth1; ip addr add {wanted}/24 dev eth1; "
                f"ip route add default via {GATEWAY}")  # fmt: skip


def _internal(lab: Lab) -> str:
    found = lab.get("node two")["status"]["addresses"]
    return next(str(a["address"]) for a in found if a["type"] == "InternalIP")


def _reach(lab: Lab, own: str) -> None:
    """The pod from the other machine, the other machine's pods from it, and the tunnel."""
    lab.one.wait_until(f"curl -sf -m 5 http://{own}:8080/cgi-bin/index.cgi", timeout=90,
                       what="the pod answers")  # fmt: skip
    ask = in_pod(lab.two, "mover", fetch("hello", "cgi-bin/index.cgi"))
    lab.two.wait_until(ask, timeout=90, what="a service answers the pod")
    lab.one.wait_until("KUBECONFIG=/etc/edgek/edgek.yaml edgek exec mover -- true", timeout=90,
                       what="exec works")  # fmt: skip
