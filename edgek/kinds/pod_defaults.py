"""Defaults of pods and pod templates, in place and idempotent (upstream: core/v1/defaults.go).

``default_pod_spec`` is for pods and templates alike. What upstream fills in only for a Pod
itself (requests from limits, host ports, service links) is in ``default_pod``.
"""

from typing import Any

from edgek.api.meta import Obj
from edgek.api.quantity import add_resources, format_quantity
from edgek.kinds.pods import containers, init_containers
from edgek.kinds.pull_policy import pull_policy_for
from edgek.kinds.strategy import ensure, set_default
from edgek.kinds.volume_defaults import default_volume

TERMINATION_MESSAGE_PATH = "/dev/termination-log"
SPEC_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("restartPolicy", "Always"),
    ("dnsPolicy", "ClusterFirst"),
    ("terminationGracePeriodSeconds", 30),
    ("schedulerName", "default-scheduler"),
)
PROBE_DEFAULTS = (
    ("timeoutSeconds", 1),
    ("periodSeconds", 10),
    ("successThreshold", 1),
    ("failureThreshold", 3),
)
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def default_pod(pod: Obj) -> None:
    """As SetDefaults_Pod on top of the spec's own defaults."""
    spec = ensure(pod, "spec")
    default_pod_spec(spec)
    for container in (*containers(pod), *init_containers(pod)):
        _requests_from_limits(container["resources"])
        if spec.get("hostNetwork"):
            _default_host_ports(container)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    _default_pod_level_requests(pod)


def default_template(template: Obj) -> None:
    ensure(template, "metadata")
    default_pod_spec(ensure(template, "spec"))


def default_pod_spec(spec: Obj) -> None:
    for field, value in SPEC_DEFAULTS:
        set_default(spec, field, value)
    ensure(spec, "securityContext")
    _default_service_account(spec)
    for which in CONTAINER_LISTS:
        for container in spec.get(which) or ():
            default_container(container)
    for volume in spec.get("volumes") or ():
        default_volume(volume)


def _default_service_account(spec: Obj) -> None:
    """``serviceAccount`` is the old name; both always say the same (v1 conversion)."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def default_container(container: Obj) -> None:
    set_default(container, "imagePullPolicy", pull_policy_for(container.get("image") or ""))
    set_default(container, "terminationMessagePath", TERMINATION_MESSAGE_PATH)
    set_default(container, "terminationMessagePolicy", "File")
    ensure(container, "resources")
    for port in container.get("ports") or ():
        set_default(port, "protocol", "TCP")
    for env in container.get("env") or ():
        _default_env(env)
    for name in PROBES:
        if probe := container.get(name):
            _default_probe(probe)
    lifecycle = container.get("lifecycle") or {}
    for hook in HOOKS:
        _default_handler(lifecycle.get(hook) or {})


def _default_env(env: Obj) -> None:
    source = env.get("valueFrom") or {}
    if field := source.get("fieldRef"):
        set_default(field, "apiVersion", "v1")
    if resource := source.get("resourceFieldRef"):
        set_default(resource, "divisor", "0")


def _default_probe(probe: Obj) -> None:
    for field, value in PROBE_DEFAULTS:
        if not probe.get(field):
            probe[field] = value
    _default_handler(probe)


def _default_handler(handler: Obj) -> None:
    if http := handler.get("httpGet"):
        set_default(http, "path", "/")
        set_default(http, "scheme", "HTTP")
    grpc = handler.get("grpc")
    if grpc is not None and grpc.get("service") is None:
        grpc["service"] = ""


def _requests_from_limits(resources: Obj) -> None:
    if limits := resources.get("limits"):
        requests = ensure(resources, "requests")
        for name, amount in limits.items():
            requests.setdefault(name, amount)


def _default_host_ports(container: Obj) -> None:
    """On the host's network a container's port is the host's port."""
    for port in container.get("ports") or ():
        if not port.get("hostPort"):
            port["hostPort"] = port.get("containerPort")


def _default_pod_level_requests(pod: Obj) -> None:
    """spec.resources: a request not given is what the containers ask, else the limit."""
    resources = pod["spec"].get("resources") or {}
    if not resources.get("limits"):
        return
    asked = add_resources(*(c["resources"].get("requests") for c in containers(pod)))
    requests = ensure(resources, "requests")
    for name, amount in resources["limits"].items():
        if name not in requests:
            found = asked.get(name)
            requests[name] = format_quantity(found) if found is not None else amount
