"""Lab: the two machines of the tests, and what the steps ask of them again and again."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from image import ensure_image, make_payload
from lan import remove_lan
from machine import Machine, MachineError

PAYLOAD = "/srv/payload"
WHEELS = f"{PAYLOAD}/wheels"
CHECKOUT = f"{PAYLOAD}/checkout"
NODE_PORT_PATH = "cgi-bin/index.cgi"


class Lab:
    """``one`` is the server, ``two`` joins it."""

    def __init__(self) -> None:
        self.one = Machine("one", "10.77.0.11")
        self.two = Machine("two", "10.77.0.12")

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.one, self.two)

    def prepare(self) -> None:
        ensure_image()
        if not any(m.pid for m in self.machines):  # a guest's disk must not change under it
            make_payload()

    def fresh(self, machine: Machine) -> None:
        """A machine just set up, with the payload in reach."""
        machine.remove()
        self.boot(machine)

    def boot(self, machine: Machine, *, clock: str = "", kernel: str = "") -> None:
        """From the disk as it is."""
        machine.up(clock=clock, kernel=kernel)
        machine.run(f"mountpoint -q {PAYLOAD} || mount -o ro /dev/vdb {PAYLOAD}")

    def close(self, *, keep: bool) -> None:
        if keep:
            return
        for machine in self.machines:
            machine.remove()
        remove_lan()

    # -- asked of the machines -------------------------------------------------------------

    def install(self, machine: Machine, *settings: str, words: str = "") -> str:
        """As a user does it with curl: the script is piped, so it is not in a checkout."""
        variables = " ".join((f"EDGEK_INSTALL_SOURCE={WHEELS}", *settings))
        command = f"cat {CHECKOUT}/install.sh | env {variables} sh -s - {words}"
        return machine.run(command, timeout=400)

    def edgek(self, words: str, *, timeout: float = 120) -> str:
        """The CLI on the server, with the admin kubeconfig."""
        return self.one.run(f"KUBECONFIG=/etc/edgek/edgek.yaml edgek {words}", timeout=timeout)

    def get(self, words: str) -> Any:
        return json.loads(self.edgek(f"get {words} -o json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        # A heredoc, so that no quoting has to be thought of.
        self.edgek(f"apply -f - <<'END'\n{text}\nEND")

    def wait_for_node(self, name: str, *, timeout: int = 180) -> None:
        self.one.wait_until(
            f"KUBECONFIG=/etc/edgek/edgek.yaml edgek wait node/{name} --for=condition=Ready "
            f"--timeout={timeout}s",
            timeout=timeout,
            what=f"node {name} Ready",
        )

    def wait_for_pod(self, name: str, *, timeout: int = 180) -> dict[str, Any]:
        self.edgek(
            f"wait pod/{name} --for=condition=Ready --timeout={timeout}s", timeout=timeout + 60
        )
        pod: dict[str, Any] = self.get(f"pod {name}")
        return pod

    def wait_for_hello(self, *, timeout: int = 240) -> float:
        """Until all three pods of the example answer; the API's status may be an old one."""
        self.one.wait_until("systemctl is-active edgek", timeout=180, what="the unit is active")
        port = self.get("service hello")["spec"]["ports"][0]["nodePort"]
        url = f"http://{self.one.address}:{port}/{NODE_PORT_PATH}"
        ask = f"for i in $(seq 30); do curl -sf -m 5 {url} || exit 1; done | sort -u | wc -l"
        return self.one.wait_until(
            f'[ "$({ask})" = 3 ]', timeout=timeout, what="three pods answer at the node port"
        )

    def containers(self, machine: Machine) -> list[str]:
        return sorted(machine.run("podman ps --quiet --no-trunc").split())


def since(begun: float) -> str:
    return f"{time.monotonic() - begun:.0f} s"


def until(test: Callable[[], bool], what: str, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not test():
        if time.monotonic() > deadline:
            raise MachineError(f"{what}: not within {timeout} s")
        time.sleep(0.2)


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise MachineError(f"{what}: expected {wanted!r}, found {found!r}")


def acknowledged(console: Path, marker: str) -> list[str]:
    """What a program in the guest wrote to the console, line by line: outlives a power cut."""
    lines = console.read_text(errors="replace").splitlines(keepends=True)
    whole = [line.strip() for line in lines if line.endswith("\n")]
    return [line.removeprefix(marker) for line in whole if line.startswith(marker)]
