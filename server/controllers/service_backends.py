"""What Endpoints and EndpointSlices have in common: which pods stand behind a Service, and how.

Pure readers, plus ``Pace``, by which both controllers keep a rollout of many pods from costing
one write per pod. As endpoint-slice ``utils.go`` and ``pkg/controller/endpoint`` upstream.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edgek.aio.clock import Clock
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, labels, namespace, uid
from edgek.control.informer import Informer
from edgek.kinds.pods import is_ready, is_terminal, node_name, pod_ips, port_number
from server.controllers.autonomy import may_be_ready

HEADLESS = "service.kubernetes.io/headless"
NONE = "None"

Port = tuple[tuple[str, Any], ...]
"""An endpoint port as sorted items, so that ports can be compared and grouped."""

PACE = 0.1
"""Seconds between two writes for one Service: a single change goes out at once, and a removed
pod must not be sent traffic for long, but a burst of changes shares a write."""


def matches(service: Obj, pod_labels: Mapping[str, str]) -> bool:
    selector = get_path(service, "spec", "selector", default={})
    return bool(selector) and all(pod_labels.get(k) == v for k, v in selector.items())


BY_LABEL = "label"
BY_SELECTOR = "selector"
"""Indexes of pods by each of their labels, and of Services by one term of their selector: a pod or
a Service costs what has to do with it, however many others there are."""


def index_backends(services: Informer, pods: Informer) -> None:
    """Before ``services_of`` and ``pods_of`` can be asked."""
    pods.add_index(BY_LABEL, lambda pod: _terms(pod, labels(pod)))
    services.add_index(BY_SELECTOR, lambda service: _terms(service, _selector(service))[:1])


def _selector(service: Obj) -> Mapping[str, str]:
    found: Mapping[str, str] = get_path(service, "spec", "selector", default={}) or {}
    return found


def _terms(obj: Obj, pairs: Mapping[str, str]) -> list[str]:
    space = namespace(obj)
    return [f"{space}/{name}={value}" for name, value in sorted(pairs.items())]


def services_of(services: Informer, pod: Obj) -> list[Key]:
    found = labels(pod)
    near = (s for term in _terms(pod, found) for s in services.by_index(BY_SELECTOR, term))
    return [key_of(s) for s in near if matches(s, found)]


def pods_of(pods: Informer, service: Obj) -> list[Obj]:
    terms = _terms(service, _selector(service))
    if not terms:
        return []
    rarest = min(terms, key=lambda term: pods.count(BY_LABEL, term))
    found = pods.by_index(BY_LABEL, rarest)
    return [p for p in found if matches(service, labels(p)) and pod_ips(p) and not is_terminal(p)]


def who_serves(pods: Sequence[Obj]) -> Callable[[Obj], bool]:
    """Who of a Service's pods can be called: those that are ready; where none is, those on
    silent nodes that may be. Nodes out of our reach are often in reach of each other."""
    if any(is_ready(pod) and not is_deleting(pod) for pod in pods):
        return is_ready
    return lambda pod: is_ready(pod) or may_be_ready(pod)


def pod_matters(old: Obj | None, new: Obj | None) -> bool:
    """Most updates of a pod say nothing new to those who call it."""
    return old is None or new is None or _facts(old) != _facts(new)


def _facts(pod: Obj) -> tuple[Any, ...]:
    spec = pod["spec"]
    return (
        uid(pod),
        pod_ips(pod),
        is_ready(pod),
        may_be_ready(pod),
        is_terminal(pod),
        is_deleting(pod),
        node_name(pod),
        labels(pod),
        spec.get("hostname"),
        spec.get("subdomain"),
    )


def is_external_name(service: Obj) -> bool:
    return bool(get_path(service, "spec", "type") == "ExternalName")


def is_headless(service: Obj) -> bool:
    return bool(get_path(service, "spec", "clusterIP", default=NONE) == NONE)


def has_selector(service: Obj) -> bool:
    return bool(get_path(service, "spec", "selector"))


def publishes_not_ready(service: Obj) -> bool:
    return bool(get_path(service, "spec", "publishNotReadyAddresses", default=False))


def families(service: Obj) -> list[str]:
    """IPv4 and IPv6 as the Service has them, its first one first."""
    given: list[str] = get_path(service, "spec", "ipFamilies", default=[])
    if given:
        return given
    address = get_path(service, "spec", "clusterIP", default="")
    return ["IPv6" if ":" in address else "IPv4"]


def address_of(pod: Obj, family: str) -> str | None:
    return next((ip for ip in pod_ips(pod) if (":" in ip) == (family == "IPv6")), None)


def hostname_of(pod: Obj, service: Obj) -> str | None:
    """DNS knows a pod by name under the headless Service that its subdomain names."""
    spec = pod["spec"]
    host = spec.get("hostname")
    return host if host and spec.get("subdomain") == service["metadata"]["name"] else None


def target_ref(pod: Obj) -> Obj:
    key = key_of(pod)
    return {"kind": "Pod", "namespace": key.namespace, "name": key.name, "uid": uid(pod)}


def ports_of(service: Obj, pod: Obj) -> tuple[Port, ...]:
    """The Service's ports as this pod has them; a name the pod lacks is left out."""
    out = []
    for port in get_path(service, "spec", "ports", default=()):
        protocol = port.get("protocol") or "TCP"
        number = port_number(pod, port.get("targetPort") or port["port"], protocol)
        if number is not None:
            found = {"name": port.get("name") or "", "port": number, "protocol": protocol}
            if port.get("appProtocol"):
                found["appProtocol"] = port["appProtocol"]
            out.append(tuple(sorted(found.items())))
    return tuple(sorted(out))


def inherited_labels(service: Obj, *, reserved: Iterable[str]) -> dict[str, str]:
    """A Service's labels go on to its endpoints, but for those that have a meaning there."""
    taken = {HEADLESS, *reserved}
    found = {k: v for k, v in labels(service).items() if k not in taken}
    return found | ({HEADLESS: ""} if is_headless(service) else {})


class Pace:
    """Remembers when each key was last written, for as long as that matters."""

    def __init__(self, clock: Clock, *, seconds: float = PACE) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last: dict[Key, float] = {}

    def wait(self, key: Key) -> float:
        """Seconds until the key may be written again; 0 where it may now."""
        left = self._last.get(key, float("-inf")) + self._seconds - self._clock.monotonic()
        # A remainder too small to move the clock would be waited for for ever.
        return left if left > 0.001 else 0.0

    def wrote(self, key: Key) -> None:
        now = self._clock.monotonic()
        if len(self._last) > 256:
            self._last = {k: t for k, t in self._last.items() if now - t < self._seconds}
        self._last[key] = now
