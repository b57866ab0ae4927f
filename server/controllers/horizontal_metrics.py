"""Asking for metrics: metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.

All three are served by extension servers behind APIServices; a cluster without them answers 404,
which is told in the words that upstream's client has for it. As
pkg/controller/podautoscaler/metrics/client.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edgek.api.cron import duration_seconds
from edgek.api.errors import ApiError, NotFound, ServiceUnavailable
from edgek.api.meta import Obj, get_path
from edgek.api.quantity import milli
from edgek.api.time import parse_time
from edgek.client.client import Client
from edgek.client.transport import Call
from server.controllers.horizontal_replicas import MetricsError, Sample
from server.controllers.scales import Scales, resource_name

RESOURCE_API = "/apis/metrics.k8s.io/v1beta1"
CUSTOM = "custom.metrics.k8s.io"
CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
EXTERNAL_API = "/apis/external.metrics.k8s.io/v1beta1"
WINDOW = 60
SECONDS = 10.0
"""For an answer; the next round comes after fifteen."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A metric by name, narrowed to labels of its own (in a selector's text)."""

    name: str
    selector: str = ""


@dataclass(frozen=True)
class Metrics:
    """Every method raises MetricsError."""

    client: Client

    async def of_resource(
        self, resource: str, namespace: str, selector: str, container: str = ""
    ) -> dict[str, Sample]:
        """What each pod uses of a resource, or one of its containers does."""
        path = f"{RESOURCE_API}/namespaces/{namespace}/pods"
        about = ("resource metrics API", "pods.metrics.k8s.io")
        items = await self._items(path, {"labelSelector": selector}, about)
        if not items:
            raise MetricsError("no metrics returned from resource metrics API")
        found = ((item, _used(item, resource, container)) for item in items)
        return {
            item["metadata"]["name"]: _sample(used, item, _seconds(item.get("window")))
            for item, used in found
            if used is not None
        }

    async def of_pods(self, metric: Wanted, namespace: str, selector: str) -> dict[str, Sample]:
        """A custom metric of each pod."""
        path = f"{await self._custom()}/namespaces/{namespace}/pods/*/{metric.name}"
        query = {"labelSelector": selector, "metricLabelSelector": metric.selector}
        about = ("custom metrics API", f"pods.{CUSTOM} *")
        items = await self._items(path, query, about)
        if not items:
            raise MetricsError("no metrics returned from custom metrics API")
        return {
            item["describedObject"]["name"]: _sample(milli(item["value"]), item, _window(item))
            for item in items
        }

    async def of_object(self, metric: Wanted, namespace: str, target: Obj) -> int:
        """A custom metric of one object."""
        query = {"metricLabelSelector": metric.selector}
        where = await self._object_path(namespace, target)
        about = ("custom metrics API", f"{where.replace('/', ' ').strip()}")
        items = await self._items(f"{await self._custom()}/{where}/{metric.name}", query, about)
        if len(items) != 1:
            raise MetricsError(
                "unable to fetch metrics from custom metrics API: the custom metrics API server "
                f"returned {len(items)} results when we asked for exactly one"
            )
        return milli(items[0]["value"])

    async def external(self, metric: Wanted, namespace: str) -> int:
        """The sum of all values that an external metric has."""
        path = f"{EXTERNAL_API}/namespaces/{namespace}/{metric.name}"
        about = ("external metrics API", f"{metric.name}.external.metrics.k8s.io")
        items = await self._items(path, {"labelSelector": metric.selector}, about)
        if not items:
            raise MetricsError("no metrics returned from external metrics API")
        return sum(milli(item["value"]) for item in items)

    async def _object_path(self, namespace: str, target: Obj) -> str:
        if target.get("kind") == "Namespace" and target.get("apiVersion", "v1") == "v1":
            return f"namespaces/{target['name']}/metrics"
        api_version = target.get("apiVersion") or "v1"
        try:
            kind = await Scales(self.client).kind_of(api_version, target["kind"])
        except ApiError as err:
            raise MetricsError(f"unable to fetch metrics from custom metrics API: {err}") from err
        if kind is None:
            group = api_version.rpartition("/")[0]
            text = f'no matches for kind "{target["kind"]}" in group "{group}"'
            raise MetricsError(f"unable to fetch metrics from custom metrics API: {text}")
        scope = f"namespaces/{namespace}/" if kind.namespaced else ""
        return f"{scope}{resource_name(kind)}/{target['name']}"

    async def _custom(self) -> str:
        """The newest version of the custom metrics API that is served."""
        try:
            group = await self._get(f"/apis/{CUSTOM}", {})
            served = [v["version"] for v in group.get("versions") or ()]
        except (ApiError, ValueError, KeyError):
            served = []
        for version in CUSTOM_VERSIONS:
            if version in served:
                return f"/apis/{CUSTOM}/{version}"
        raise MetricsError(
            "unable to fetch metrics from custom metrics API: no custom metrics API "
            f"({CUSTOM}) registered"
        )

    async def _items(self, path: str, query: dict[str, str], about: tuple[str, str]) -> list[Obj]:
        """The items of a list, whose values are numbers. ``about`` names the API and what is
        asked of it."""
        api, resource = about
        try:
            got = await self._get(path, {k: v for k, v in query.items() if v})
            return list(_checked(got.get("items") or ()))
        except (ApiError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise MetricsError(f"unable to fetch metrics from {api}: {_told(err, resource)}") from (
                err
            )

    async def _get(self, path: str, query: dict[str, str]) -> Obj:
        call = Call(method="GET", path=path, query=query, timeout=SECONDS)
        return await self.client.transport.call(call)


def _told(err: Exception, resource: str) -> str:
    """client-go adds what was asked for where the answer itself does not say."""
    if isinstance(err, NotFound | ServiceUnavailable) and str(err).startswith("the server "):
        return f"{err} (get {resource})"
    return str(err) if isinstance(err, ApiError) else f"bad answer: {err!r}"


def _checked(items: Iterable[Obj]) -> Iterable[Obj]:
    """Reads each number once. Raises ValueError, KeyError."""
    for item in items:
        parse_time(item["timestamp"])
        if "value" in item:
            milli(item["value"])
        for container in item.get("containers") or ():
            for amount in container["usage"].values():
                milli(amount)
        _seconds(item.get("window"))
        yield item


def _used(item: Obj, resource: str, container: str) -> int | None:
    """None where it is not measured: of a pod, if any of its containers is not."""
    containers = item.get("containers") or ()
    if container:
        found = next((c for c in containers if c.get("name") == container), None)
        if found is None:
            where = f"{get_path(item, 'metadata', 'namespace')}/{item['metadata']['name']}"
            raise MetricsError(f"container {container} not present in metrics for pod {where}")
        containers = [found]
    amounts = [c["usage"].get(resource) for c in containers]
    if not amounts or None in amounts:
        return None
    return sum(map(milli, amounts))


def _sample(value: int, item: Obj, window: float) -> Sample:
    return Sample(value=value, at=parse_time(item["timestamp"]), window=timedelta(seconds=window))


def _window(item: Obj) -> float:
    found: Any = item.get("windowSeconds")
    return float(WINDOW if found is None else found)


def _seconds(text: str | None) -> float:
    """A duration as Go prints it. Raises ValueError."""
    seconds = duration_seconds(text) if text else float(WINDOW)
    if seconds is None:
        raise ValueError(f"time: invalid duration {text!r}")
    return seconds
