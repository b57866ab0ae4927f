"""What a kubelet serves at port 10250, as the table ``Kubelet.endpoints``: usage, metrics, pods.

Asked for through ``nodes/NAME/proxy`` and by the server itself for metrics.k8s.io. Each answer is
made when it is asked for. As pkg/kubelet/server/server.go; what runs commands there (/exec, /run,
/attach, /portForward) is not offered, because pods' own subresources do it with rights of their
own.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from agent.api.http import PIECE, Ask, Endpoint, Reply, integer, json_reply
from agent.api.stream import Handler, Socket
from agent.runtime.runtime import Container
from agent.stats.cadvisor_details import Machine
from agent.stats.cadvisor_metrics import cadvisor_families
from agent.stats.disk import Disks
from agent.stats.exposition import CONTENT_TYPE, Family, exposition
from agent.stats.node import filesystem, max_pids, node_usage
from agent.stats.own_metrics import Own, own_families
from agent.stats.rates import Rates
from agent.stats.report import report
from agent.stats.resource_metrics import resource_families
from agent.stats.snapshot import CONTAINER_NAME, Collector, Snapshot
from agent.stats.summary import About, summary
from agent.stats.usage import Filesystem
from agent.stats.volumes import ClaimedVolumes, volume_families
from edgek.api.errors import BadRequest, NotFound
from edgek.api.meta import Obj, name, namespace, uid

FILESYSTEM_SECONDS = 5.0
_TRUE = ("true", "1")


@dataclass(frozen=True, kw_only=True)
class Kubelet:
    """``config`` is what /configz tells; ``logs`` a stream of kind log; ``log_dir`` the only
    directory that /logs/ reads; ``data_dir`` and ``image_dir`` are on the node's and the images'
    filesystem. ``probes`` gives the families of /metrics/probes."""

    node_name: str
    collector: Collector
    rates: Rates
    disks: Disks
    volumes: ClaimedVolumes
    logs: Handler
    log_dir: Path
    data_dir: Path
    image_dir: Path
    own: Callable[[], Own]
    probes: Callable[[], Iterable[Family]]
    config: Callable[[], Mapping[str, Any]]

    def endpoints(self) -> Sequence[tuple[str, Endpoint]]:
        return (
            ("/healthz", _healthz),
            ("/stats/summary", self.summary),
            ("/metrics/resource", self.resource_metrics),
            ("/metrics/cadvisor", self.cadvisor),
            ("/metrics/probes", self.probe_metrics),
            ("/metrics", self.metrics),
            ("/usage", self.usage),
            ("/pods", self.pods),
            ("/runningpods/", self.running_pods),
            ("/containerLogs/", self.container_logs),
            ("/configz", self.configz),
            ("/logs/", self.log_files),
        )

    async def summary(self, ask: Ask) -> Reply:
        short = ask.query.get("only_cpu_and_memory", "").lower() in _TRUE
        rated = await self.rates.now()
        about = await asyncio.to_thread(self._about)
        if not short:
            about = await self._with_disks(about)
        return json_reply(summary(rated, about, only_cpu_and_memory=short))

    def _about(self) -> About:
        return About(node_name=self.node_name, booted=booted(), max_pids=max_pids())

    async def _with_disks(self, about: About) -> About:
        return About(
            node_name=about.node_name,
            booted=about.booted,
            max_pids=about.max_pids,
            node_fs=await _filesystem(self.data_dir),
            image_fs=await _filesystem(self.image_dir),
            disks=await self.disks.pods(),
            volumes=await self.volumes.now(),
        )

    async def _snapshot(self) -> Snapshot:
        return await asyncio.to_thread(self.collector.take, self.collector.known())

    async def resource_metrics(self, ask: Ask) -> Reply:
        return _text(resource_families(await self._snapshot()))

    async def cadvisor(self, ask: Ask) -> Reply:
        own = self.own()
        snapshot = await asyncio.to_thread(
            self.collector.take, self.collector.known(), detailed=True
        )
        filesystems = [await _filesystem(path) for path in (self.data_dir, self.image_dir)]
        about = Machine(
            cpus=own.cpus, memory=own.memory, swap=own.swap, ids=own.ids,
            filesystems=[found for found in filesystems if found is not None],
        )  # fmt: skip
        return _text(await asyncio.to_thread(cadvisor_families, snapshot, about))

    async def usage(self, ask: Ask) -> Reply:
        """Ours alone: what the server makes metrics.k8s.io from."""
        return json_reply(report(await self.rates.now()))

    async def metrics(self, ask: Ask) -> Reply:
        own = await asyncio.to_thread(own_families, self.own())
        return _text([*own, *volume_families(await self.volumes.now())])

    async def probe_metrics(self, ask: Ask) -> Reply:
        return _text(self.probes())

    async def pods(self, ask: Ask) -> Reply:
        return _pod_list(list(self.collector.pods()))

    async def running_pods(self, ask: Ask) -> Reply:
        """As kubecontainer.Pods.ToAPIPod: names and containers of what runs."""
        known = self.collector.known()
        return _pod_list([_running(pod, held) for pod, held in known if any(map(_runs, held))])

    async def container_logs(self, ask: Ask) -> Reply:
        """/containerLogs/NAMESPACE/POD/CONTAINER."""
        parts = ask.rest.split("/")
        if len(parts) != 3 or not all(parts):
            raise BadRequest('{"message": "Missing podNamespace, podID or containerName"}')
        found = self._container(*parts, previous=ask.query.get("previous", "") in _TRUE)
        query = ask.query
        params = {
            "podUID": found.labels.get("io.edgek.pod-uid"),
            "containerID": found.id,
            "follow": query.get("follow", "") in _TRUE,
            "timestamps": query.get("timestamps", "") in _TRUE,
            "tailLines": integer(query, "tailLines"),
            "sinceSeconds": integer(query, "sinceSeconds"),
            "limitBytes": integer(query, "limitBytes"),
        }
        return Reply(stream=(self.logs, params))

    def _container(self, where: str, pod_name: str, wanted: str, *, previous: bool) -> Container:
        for pod, held in self.collector.known():
            if (namespace(pod), name(pod)) == (where, pod_name):
                mine = [c for c in held if c.labels.get(CONTAINER_NAME) == wanted]
                mine.sort(key=lambda c: c.created_at or _EPOCH, reverse=True)
                if len(mine) > previous:
                    return mine[int(previous)]
                raise NotFound(f'container "{wanted}" not found in pod "{pod_name}"')
        raise NotFound(f'pod "{pod_name}" does not exist')

    async def configz(self, ask: Ask) -> Reply:
        return json_reply({"kubeletconfig": dict(self.config())})

    async def log_files(self, ask: Ask) -> Reply:
        return await asyncio.to_thread(log_file, self.log_dir, ask.rest)


_EPOCH = datetime.fromtimestamp(0, UTC)


async def _healthz(ask: Ask) -> Reply:
    return Reply(body=b"ok")


def _text(families: Iterable[Family]) -> Reply:
    return Reply(content_type=CONTENT_TYPE, body=exposition(families).encode())


def _pod_list(pods: list[Obj]) -> Reply:
    items = [{k: v for k, v in pod.items() if k not in ("kind", "apiVersion")} for pod in pods]
    return json_reply({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


def _runs(container: Container) -> bool:
    return container.state == "running"


def _running(pod: Obj, containers: list[Container]) -> Obj:
    return {
        "metadata": {"name": name(pod), "namespace": namespace(pod), "uid": uid(pod)},
        "spec": {
            "containers": [
                {"name": c.labels.get(CONTAINER_NAME, ""), "image": c.image, "resources": {}}
                for c in containers
                if _runs(c)
            ]
        },
        "status": {},
    }


def booted() -> datetime:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return datetime.fromtimestamp(node_usage().time - uptime, UTC)


async def _filesystem(path: Path) -> Filesystem | None:
    """In a thread: a filesystem may hang, and then only this figure is missing."""
    try:
        async with asyncio.timeout(FILESYSTEM_SECONDS):
            return await asyncio.to_thread(filesystem, path)
    except (OSError, TimeoutError):
        return None


def log_file(top: Path, rest: str) -> Reply:
    """A file below ``top``, or the names in a directory as http.FileServer lists them. Links that
    lead out of it are not followed."""
    path = (top / rest).resolve()
    if not path.is_relative_to(top.resolve()):
        raise NotFound("404 page not found")
    try:
        if path.is_dir():
            names = sorted(p.name + ("/" if p.is_dir() else "") for p in path.iterdir())
            links = "".join(f'<a href="{_html(n)}">{_html(n)}</a>\n' for n in names)
            body = f"<!doctype html>\n<pre>\n{links}</pre>\n".encode()
            return Reply(content_type="text/html; charset=utf-8", body=body)
        return Reply(stream=(_sends(path.open("rb")), {}))
    except OSError as err:
        raise NotFound("404 page not found") from err


def _sends(file: BinaryIO) -> Handler:
    """A log may be larger than what the agent may use: never more than a piece is held."""

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        with file:
            await socket.accept()
            while data := await asyncio.to_thread(file.read, PIECE):
                await socket.send(data)

    return handle


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
