"""``make up`` and ``make down``: edgek on this machine, with the hello example running.

Every step says what it does, can be repeated, and on failure says what failed and where to
look. The server runs under systemd where there is one, else as a process of its own.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgek.api.conditions import is_true
from edgek.api.meta import Obj, get_path
from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.client.kubeconfig import load_kubeconfig
from edgek.kinds import DAEMON_SET, DEPLOYMENT, NODE, SERVICE
from edgek.kinds.kind import Kind
from scripts import make_image

ROOT = Path(__file__).resolve().parent.parent
EDGEK = ROOT / ".venv/bin/edgek"
KUBECONFIG = Path("/etc/edgek/edgek.yaml")
LOG = Path("/var/log/edgek.log")
PID = Path("/run/edgek-up.pid")
UNIT = "edgek-up"
SECONDS = 120


class Failed(Exception):
    """Its text says what failed and how to see more."""


@contextmanager
def step(what: str) -> Iterator[None]:
    print(f"  {what} ...", end="", flush=True)
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - begun:.1f} s", flush=True)


def run(*argv: str | Path, more: str = "") -> str:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Failed(f"{' '.join(map(str, argv))}:\n{said}\n{more}".rstrip())
    return done.stdout


def more() -> str:
    return f"See: journalctl -u {UNIT}" if systemd() else f"See: tail -n 50 {LOG}"


def systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def has_kubeconfig() -> bool:
    return KUBECONFIG.exists()


def running() -> bool:
    if systemd():
        check = ["systemctl", "is-active", "--quiet", UNIT]
        return subprocess.run(check, check=False).returncode == 0
    try:
        os.kill(int(PID.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def load_images() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "images.tar"
        make_image.write_archive(archive)
        run("podman", "load", "--quiet", "--input", archive)


def start_server() -> None:
    if running():
        return
    if systemd():
        run("systemd-run", "--unit", UNIT, "--collect", "-p", "Delegate=yes",
            "-p", "KillMode=mixed", EDGEK, "server")  # fmt: skip
        return
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [EDGEK, "server"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    PID.write_text(str(process.pid))


async def wait_for_api(client: Callable[[], Client]) -> Client:
    """The server makes the kubeconfig and then answers; it has no way to call us, so we ask."""
    deadline = time.monotonic() + SECONDS
    while True:
        if not running():
            raise Failed(f"the server ended. {more()}")
        if has_kubeconfig():
            made = client()
            try:
                await made.list(NODE)
                return made
            except Exception as err:
                await made.transport.close()
                if time.monotonic() > deadline:
                    raise Failed(f"the server does not answer: {err}. {more()}") from err
        await asyncio.sleep(0.1)


async def wait_until(
    client: Client, kind: Kind, name: str, test: Callable[[Obj], bool], what: str
) -> Obj:
    """Watches until an object of that name (any, for "") passes the test."""
    selector = f"metadata.name={name}" if name else ""
    last: Obj | None = None
    try:
        async with asyncio.timeout(SECONDS):
            namespace = "default" if kind.namespaced else ""
            async with client.watch(kind, namespace=namespace, field_selector=selector) as events:
                async for event in events:
                    if event.type in ("ADDED", "MODIFIED") and test(last := event.obj):
                        return last
    except TimeoutError:
        pass
    state = get_path(last or {}, "status", default="nothing was seen of it")
    raise Failed(f"{what}: not within {SECONDS} s; last status: {state}\n{more()}")


def node_ready(node: Obj) -> bool:
    return is_true(get_path(node, "status", "conditions"), "Ready")


def available(deployment: Obj) -> bool:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = (status.get("updatedReplicas"), status.get("availableReplicas"))
    return seen and counts == (wanted, wanted)


def everywhere(daemon_set: Obj) -> bool:
    status = daemon_set.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    return wanted > 0 and status.get("numberAvailable", 0) == wanted


def new_client() -> Client:
    return Client(HttpTransport(load_kubeconfig(str(KUBECONFIG)).access))


async def up() -> None:
    print("edgek on this machine:")
    with step("image of the example"):
        load_images()
    with step("server and agent"):
        start_server()
        client = await wait_for_api(new_client)
    try:
        with step("node is Ready"):
            node = await wait_until(client, NODE, "", node_ready, "the node is not Ready")
        with step("examples/hello applied"):
            run(EDGEK, "--kubeconfig", KUBECONFIG, "apply", "-f", ROOT / "examples/hello")
        with step("all pods run"):
            await wait_until(client, DEPLOYMENT, "hello", available, "Deployment hello")
            await wait_until(client, DAEMON_SET, "machine-info", everywhere, "DaemonSet")
        service = await wait_until(client, SERVICE, "hello", lambda _: True, "Service hello")
    finally:
        await client.transport.close()
    report(node, service)


def report(node: Obj, service: Obj) -> None:
    addresses = get_path(node, "status", "addresses", default=[])
    ip = next(a["address"] for a in addresses if a["type"] == "InternalIP")
    url = f"http://{ip}:{service['spec']['ports'][0]['nodePort']}/cgi-bin/index.cgi"
    print()
    print(run(EDGEK, "--kubeconfig", KUBECONFIG, "get", "pods", "-o", "wide"))
    print(f"""Open  {url}

Next, with kubectl or with edgek itself:
  export KUBECONFIG={KUBECONFIG} PATH={EDGEK.parent}:$PATH
  edgek get pods -o wide
  edgek logs deployment/hello
  edgek describe service hello
Stop it all with: make down""")


def down() -> None:
    print("edgek off this machine:")
    with step("stopped and removed"):
        if systemd():
            subprocess.run(["systemctl", "stop", UNIT], check=False, capture_output=True)
        run(EDGEK, "uninstall", "--yes")
        for path in (LOG, PID):
            path.unlink(missing_ok=True)


def main() -> int:
    if os.geteuid() != 0:
        print("needs root: sudo make up", file=sys.stderr)
        return 1
    if shutil.which("podman") is None:
        print("podman is missing: make system", file=sys.stderr)
        return 1
    try:
        down() if "--down" in sys.argv[1:] else asyncio.run(up())
    except Failed as err:
        print(f"\n{err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
