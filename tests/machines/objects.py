"""Objects that the steps apply, and how they look into the containers made of them."""

from typing import Any

from machine import Machine

BUSYBOX = "docker.io/library/busybox:1.36"
HELLO = "edgek.io/hello:1"


def pod(
    name: str,
    *,
    node: str,
    image: str = BUSYBOX,
    script: str = "",
    volumes: dict[str, dict[str, Any]] | None = None,
    resources: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Each volume is mounted at ``/NAME``; ``profile`` is one of AppArmor. It tolerates all: no
    node that is away, or was short of memory, takes pods from a step."""
    container: dict[str, Any] = {"name": "main", "image": image}
    if script:
        container["command"] = ["sh", "-c", script]
    if resources:
        container["resources"] = resources
    if profile:
        container["securityContext"] = {"appArmorProfile": profile}
    container["volumeMounts"] = [{"name": v, "mountPath": f"/{v}"} for v in volumes or ()]
    spec.setdefault("tolerations", [{"operator": "Exists"}])
    spec["volumes"] = [{"name": v, **source} for v, source in (volumes or {}).items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [container],
            **spec,
        },
    }


def service(name: str, *, port: int) -> dict[str, Any]:
    """In front of the pod of that name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    }


def fetch(name: str, path: str) -> str:
    """Shell's words for a container: the page of a service, by its name. With nslookup and nc,
    because the wget of a static busybox crashes on these machines."""
    address = f'$(nslookup {name}.default.svc.cluster.local | sed -n "s/^Address: //p" | tail -n 1)'
    ask = f'printf "GET /{path} HTTP/1.0\\r\\n\\r\\n" | nc -w 5 {address} 80'
    return f"sh -c '{ask} | grep -q \"200 OK\"'"


def in_pod(machine: Machine, name: str, command: str) -> str:
    """The command to run one in the pod's container, with no word of edgek."""
    container = machine.run(f"podman ps --quiet --filter name=edgek_main_{name}").strip()
    return f"podman exec {container} {command}"
