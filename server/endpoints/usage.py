"""metrics.k8s.io: get and list of NodeMetrics and PodMetrics, as metrics-server answers them.

The figures come from the agents when somebody asks. An APIService for v1beta1.metrics.k8s.io that
a user makes goes before: aggregation is asked first.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, get_path, labels, name, namespace, uid
from edgek.api.time import format_time
from edgek.kinds import NODE, NODE_METRICS, POD, POD_METRICS
from edgek.kinds.kind import Kind
from server.endpoints.env import Env
from server.endpoints.negotiate import ListMeta, negotiate
from server.endpoints.route import Target, Verb
from server.endpoints.select import Selection
from server.endpoints.subresources.backend import Backend
from server.endpoints.usage_reports import Report, UsageReports
from server.request.model import Request, Response
from server.request.reader import Reader
from server.storage.store import Entry


def usage_verbs(backend: Backend, reader: Reader) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    api = UsageApi(UsageReports(backend), reader)
    return {
        (NODE_METRICS.group, NODE_METRICS.plural): {"get": api.get_node, "list": api.list_nodes},
        (POD_METRICS.group, POD_METRICS.plural): {"get": api.get_pod, "list": api.list_pods},
    }


class UsageApi:
    def __init__(self, reports: UsageReports, reader: Reader) -> None:
        self._reports, self._reader = reports, reader

    async def get_node(self, env: Env, request: Request, target: Target) -> Response:
        node = self._reader.get(NODE, target.key)
        return _one(env, request, target, await self._nodes([node] if node else []))

    async def list_nodes(self, env: Env, request: Request, target: Target) -> Response:
        return await self._list(env, request, target, NODE)

    async def get_pod(self, env: Env, request: Request, target: Target) -> Response:
        pod = self._reader.get(POD, target.key)
        return _one(env, request, target, await self._pods([pod] if pod else []))

    async def list_pods(self, env: Env, request: Request, target: Target) -> Response:
        return await self._list(env, request, target, POD)

    async def _list(self, env: Env, request: Request, target: Target, of: Kind) -> Response:
        """Selected before any node is asked: the selectors are about labels and names only."""
        selection = Selection.of(target.kind, target.key.namespace, request.query)
        wanted = [o for o in self._reader.list(of, target.key.namespace) if selection.matches(o)]
        wanted.sort(key=lambda o: (namespace(o), name(o)))
        found = await (self._nodes(wanted) if of is NODE else self._pods(wanted))
        return negotiate(env, request, target.kind).many([*map(_entry, found)], ListMeta(""))

    async def _nodes(self, nodes: Sequence[Obj]) -> list[Obj]:
        reports = await self._reports.of(map(name, nodes))
        found = (node_metrics(node, reports.get(name(node))) for node in nodes)
        return [obj for obj in found if obj is not None]

    async def _pods(self, pods: Sequence[Obj]) -> list[Obj]:
        running = [pod for pod in pods if get_path(pod, "status", "phase") == "Running"]
        reports = await self._reports.of({_node_of(pod) for pod in running} - {""})
        found = []
        for pod in running:
            report = reports.get(_node_of(pod))  # a node is believed about its own pods only
            told = told_of(pod, report["pods"]) if report is not None else None
            if report is not None and told is not None:
                found.append(pod_metrics(pod, told, report))
        return found


def told_of(pod: Obj, pods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What a node tells of a pod. By its name, because a static pod and the mirror that shows it
    here have different uids; by uid where two follow each other under one name."""
    named = [p for p in pods if (p["namespace"], p["name"]) == (namespace(pod), name(pod))]
    return next((p for p in named if p["uid"] == uid(pod)), named[0] if named else None)


def _node_of(pod: Obj) -> str:
    return str(get_path(pod, "spec", "nodeName", default=""))


def node_metrics(node: Obj, report: Report | None) -> Obj | None:
    """None where the node has not told both."""
    figures = report["node"] if report is not None else {}
    if report is None or len(figures) < 2:
        return None
    return _head(NODE_METRICS, node, report) | {"usage": _usage(figures)}


def pod_metrics(pod: Obj, told: Mapping[str, Any], report: Report) -> Obj:
    containers = [
        {"name": container, "usage": _usage(figures)}
        for container, figures in told["containers"].items()
    ]
    return _head(POD_METRICS, pod, report) | {"containers": containers}


def _head(kind: Kind, of: Obj, report: Report) -> Obj:
    """As metrics-server: the labels are those of the pod or node, by which it was selected."""
    moment = format_time(datetime.fromtimestamp(report["timestamp"], UTC))
    metadata: Obj = {"name": name(of), "creationTimestamp": moment}
    if namespace(of):
        metadata["namespace"] = namespace(of)
    if labels(of):
        metadata["labels"] = dict(labels(of))
    return {
        "kind": kind.kind,
        "apiVersion": kind.api_version,
        "metadata": metadata,
        "timestamp": moment,
        "window": f"{report['window']:.3f}".rstrip("0").rstrip(".") + "s",
    }


def _usage(figures: Mapping[str, int]) -> dict[str, str]:
    cpu = figures["cpu"]
    return {"cpu": f"{cpu}n" if cpu else "0", "memory": f"{figures['memory'] // 1024}Ki"}


def _one(env: Env, request: Request, target: Target, found: Sequence[Obj]) -> Response:
    if not found:
        raise not_found(target.kind, target.key)
    return negotiate(env, request, target.kind).one(_entry(found[0]))


def not_found(kind: Kind, key: Key) -> NotFound:
    """In metrics-server's words, which name the type and not the resource."""
    shown = f"{key.namespace}/{key.name}" if key.namespace else key.name
    what = f"{kind.kind.lower()}.{kind.group}"
    details = {"name": shown, "group": kind.group, "kind": kind.kind.lower()}
    return NotFound(f'{what} "{shown}" not found', details=details)


def _entry(obj: Obj) -> Entry:
    return Entry(
        name(obj),
        namespace=namespace(obj),
        revision=0,
        raw=orjson.dumps(obj),
        obj=obj,
        decode=orjson.loads,
    )
