"""Pod + container -> ContainerSpec: command, names, labels, and the parts of its neighbours
(resources.py, security.py, mount_plan.py). Pure.

As kuberuntime_container.go generateContainerConfig.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from agent.pods.environment import expand
from agent.pods.mount_plan import make_mounts, volume_devices
from agent.pods.place import Place
from agent.pods.resources import container_resources
from agent.pods.security import make_security
from agent.pods.state import (
    ATTEMPT,
    CONTAINER_NAME,
    GRACE,
    HANDLER,
    IMAGE_REF,
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    RESOURCES,
    SPEC_HASH,
    spec_hash,
)
from agent.runtime.runtime import ContainerSpec, Image
from edgek.api.meta import Obj, get_path, name, namespace, uid


def make_spec(
    pod: Obj, container: Obj, *, attempt: int, image: Image, env: Mapping[str, str], place: Place
) -> ContainerSpec:
    """Raises ConfigError or VolumeError where the pod asks for what cannot be."""
    own = container["name"]
    command, args = container.get("command"), container.get("args")
    return ContainerSpec(
        name=f"edgek_{own}_{name(pod)}_{namespace(pod)}_{uid(pod)}_{attempt}",
        image=container["image"],
        namespaces=place.namespaces,
        cgroup_parent=place.cgroup_parent,
        log_path=str(log_path(place.log_root, pod, own, attempt)),
        entrypoint=tuple(expand(part, env) for part in command) if command else None,
        args=tuple(expand(part, env) for part in args) if args else None,
        env=env,
        image_env=image.env,
        work_dir=container.get("workingDir") or "",
        mounts=make_mounts(pod, container, attempt=attempt, env=env, place=place),
        devices=volume_devices(container, place=place),
        resources=container_resources(pod, container, node_memory=place.node_memory),
        security=make_security(
            pod, container, image=image, node=place.security, id_range=place.id_range
        ),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        handler=place.handler,
        labels=_labels(pod, container, attempt, image)
        | ({HANDLER: place.handler} if place.handler else {}),
        stop_signal=get_path(container, "lifecycle", "stopSignal", default=""),
    )


def _labels(pod: Obj, container: Obj, attempt: int, image: Image) -> dict[str, str]:
    grace = get_path(pod, "spec", "terminationGracePeriodSeconds", default=30)
    return {
        POD_UID: uid(pod),
        POD_NAME: name(pod),
        POD_NAMESPACE: namespace(pod),
        CONTAINER_NAME: container["name"],
        ATTEMPT: str(attempt),
        SPEC_HASH: spec_hash(container),
        GRACE: str(grace),
        IMAGE_REF: image_reference(image),
        RESOURCES: json.dumps(container.get("resources") or {}, sort_keys=True),
    }


def image_reference(image: Image) -> str:
    """The repository's digest where there is one, as status.imageID has it."""
    found = next((n for n in image.names if "@" in n), "")
    return found or (image.id if ":" in image.id else f"sha256:{image.id}")


def pod_log_dir(root: Path, pod: Obj) -> Path:
    return root / f"{namespace(pod)}_{name(pod)}_{uid(pod)}"


def log_path(root: Path, pod: Obj, container: str, attempt: int) -> Path:
    return pod_log_dir(root, pod) / container / f"{attempt}.log"
