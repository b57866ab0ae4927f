"""How long a pod takes from bound to Running, beside the bare Podman calls it needs.

    python -m bench start [--rounds 5] [--many 100]

Alternately, one at a time and ten at once: pods bound to the node as the API shows them Running,
and the same container made by hand, with as many mounts, variables and labels: its network by
netplug, then Podman's create and start. Of ten pods the slowest counts, from when the API shows
that it is bound; beside it stands the time from when the first of them is, which has the other
nine's binding requests in it. Then ``many`` pods at once. It runs as root in the test bed, as
``python -m bench agent`` does.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.disk import fresh_disk
from bench.workload import bare_pod
from edgek.api.meta import Key
from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.client.kubeconfig import load_kubeconfig
from edgek.kinds import POD
from tests.support.images import BUSYBOX
from tests.support.real_cluster import ROOT, RealCluster, real_cluster
from tests.support.testbed import Space, missing_need

KUBECONFIG = Path("/etc/edgek/edgek.yaml")
COUNTS = (1, 10)
SECONDS = 600.0


def measure(cluster: RealCluster, *, rounds: int, many: int) -> None:
    node = cluster.bed.nodes[0]
    for count in COUNTS:
        pods, spans, bare = list[float](), list[float](), list[float]()
        for number in range(rounds + 1):  # the first is for warming up
            _settle(cluster)
            slowest, span = _inside(cluster.bed.server, "api", node.name, f"r{number}", str(count))
            pods.append(slowest)
            spans.append(span)
            _settle(cluster)
            bare += _inside(node, "bare", node.cgroup, f"b{number}", str(count))
        ours, alone = statistics.median(pods[1:]), statistics.median(bare[1:])
        print(
            f"{count} at once: bound to Running {ours * 1e3:.0f} ms, bare Podman and network "
            f"{alone * 1e3:.0f} ms, ratio {ours / alone:.2f} (medians of {rounds}); all of them "
            f"since the first was bound {statistics.median(spans[1:]) * 1e3:.0f} ms"
        )
    if many:
        _, seconds = _inside(cluster.bed.server, "api", node.name, "many", str(many))
        found = cluster.json("events")["items"]
        bad = sorted({e["reason"] for e in found if e["type"] == "Warning"})
        print(
            f"{many} at once: all Running after {seconds:.1f} s, warnings: {', '.join(bad) or 'no'}"
        )


def _settle(cluster: RealCluster) -> None:
    """Podman cleans up for some seconds after many containers have ended."""
    cluster.wait("cleanups end", lambda: not _cleaning())


def _cleaning() -> bool:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if b"\0cleanup\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
    return False


def _inside(space: Space, *argv: str) -> list[float]:
    """Runs a half of this module in a space; its figures in seconds."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = space.run(
        sys.executable, "-m", "bench.start", "inside", *argv,
        env=env, capture_output=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}")
    return [float(word) for word in done.stdout.split()]


# -- in the server's space: by the API ---------------------------------------------------------


async def by_api(node: str, prefix: str, count: int) -> tuple[float, ...]:
    """From bound to Running for the slowest, and from the first bound to the last Running."""
    transport = HttpTransport(load_kubeconfig(KUBECONFIG).access)
    client = Client(transport)
    names = {f"{prefix}-{n}" for n in range(count)}
    try:
        bound, running = dict[str, float](), dict[str, float]()
        version = (await client.list(POD, namespace="default", limit=1)).resource_version
        async with (
            asyncio.timeout(SECONDS),
            client.watch(POD, namespace="default", resource_version=version) as events,
        ):
            await asyncio.gather(*(_create(client, name) for name in names))
            binding = asyncio.gather(*(_bind(client, name, node) for name in names))
            async for event in events:
                name, now = event.obj["metadata"]["name"], time.monotonic()
                if event.obj["spec"].get("nodeName"):
                    bound.setdefault(name, now)  # everybody sees it
                if (event.obj.get("status") or {}).get("phase") == "Running":
                    running.setdefault(name, now)
                if names <= running.keys():
                    break
        await binding
        for name in names:
            await client.delete(POD, Key("default", name))
        while (await client.list(POD, label_selector="bench=start")).items:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        slowest = max(running[name] - bound[name] for name in names)
        return slowest, max(running.values()) - min(bound.values())
    finally:
        await transport.close()


async def _create(client: Client, name: str) -> None:
    pod = bare_pod(name)
    pod["metadata"]["namespace"] = "default"
    pod["spec"]["schedulerName"] = "bench"  # which nobody is but this
    await client.create(POD, pod)


async def _bind(client: Client, name: str, node: str) -> None:
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    meta = {"name": name, "namespace": "default"}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": target}
    await client.create(POD, binding, subresource="binding", name=name)


# -- in the node: by hand ----------------------------------------------------------------------


async def by_hand(cgroup: str, prefix: str, count: int) -> tuple[float, ...]:
    """Until the last of them has started."""
    from agent.runtime.cgroups import Cgroups
    from agent.runtime.libpod import Libpod
    from agent.runtime.machine import look_at_machine
    from agent.runtime.runtime import ContainerSpec, Mount, Namespaces, Resources
    from agent.runtime.spec import plan_spec
    from netplug.model import NodeConfig, SandboxSpec
    from netplug.plugin import Plugin

    machine = look_at_machine()
    raw = Libpod("/run/edgek/podman.sock")
    plugin = Plugin()
    # Set up by the agent already; a second setup would be measured, and change its tables.
    plugin._node = NodeConfig(
        node_ip="", pod_cidr=_pod_cidr(), cluster_cidr="", service_cidr="", local_addresses=()
    )
    plugin._mtu = 1450
    cgroups = Cgroups(machine=machine, root=cgroup)
    loop = asyncio.get_running_loop()

    async def start(name: str) -> str:
        spec = SandboxSpec(name=name, hostname=name, sysctls={})
        made = await loop.run_in_executor(threads, lambda: plugin.attach(spec))
        parent = cgroups.pod_path("BestEffort", name)
        cgroups.create(parent, Resources())
        folder = Path("/var/log/bench") / name
        folder.mkdir(parents=True, exist_ok=True)
        mounts = tuple(
            Mount(source=str(folder), target=f"/mnt/{number}", read_only=True)
            for number in range(6)
        )
        wanted = ContainerSpec(
            name=name, image=BUSYBOX, entrypoint=("sleep", "100000"),
            namespaces=Namespaces(net=made.net, ipc=made.ipc, uts=made.uts),
            cgroup_parent=parent, log_path=str(folder / "log"), mounts=mounts,
            env={f"NUMBER_{number}": "x" for number in range(9)},
            labels={f"io.edgek.{number}": "x" * 36 for number in range(9)},
            resources=Resources(cpu_shares=2, oom_score_adj=1000),
        )  # fmt: skip
        body = plan_spec(wanted, machine=machine, boot="bench")
        created = await raw.call("POST", "/containers/create", timeout=60, body=body)
        container = created.decode().split('"Id":"')[1].split('"')[0]
        await raw.call("POST", f"/containers/{container}/start", timeout=60)
        return container

    names = [f"{prefix}-{n}" for n in range(count)]
    with ThreadPoolExecutor(4) as threads:
        await loop.run_in_executor(threads, _load_netlink)
        began = time.monotonic()
        made = await asyncio.gather(*(start(name) for name in names))
        seconds = time.monotonic() - began
        for container, name in zip(made, names, strict=True):
            await raw.call(
                "DELETE",
                f"/containers/{container}",
                timeout=60,
                params={"force": "true", "timeout": 0},
            )
            await loop.run_in_executor(threads, plugin.detach, name)
    return (seconds,)


def _load_netlink() -> None:
    from netplug.links import Links

    with Links():
        pass


def _pod_cidr() -> str:
    """Of this node: the range that the agent made a sink of."""
    import subprocess

    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    return next(x.split()[1] for x in routes.splitlines() if x.startswith("unreachable"))


def main(argv: Sequence[str]) -> None:
    if argv and argv[0] == "inside":
        half = by_api if argv[1] == "api" else by_hand
        print(*asyncio.run(half(argv[2], argv[3], int(argv[4]))))
        return
    parser = argparse.ArgumentParser(prog="python -m bench start")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=100)
    args = parser.parse_args(argv)
    if why := missing_need():
        print(f"start: not measured, {why}")
        return
    with fresh_disk() as folder, real_cluster(folder, nodes=1) as cluster:
        measure(cluster, rounds=args.rounds, many=args.many)


if __name__ == "__main__":
    main(sys.argv[1:])
