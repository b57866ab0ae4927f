"""Pods and containers as values, for tests of the agent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from agent.pods.state import ATTEMPT, CONTAINER_NAME, POD_UID, Attempt, PodState, group_attempts
from agent.runtime.runtime import Container
from edgek.api.meta import Obj

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def make_pod(name: str = "web", *names: str, uid: str = "", **spec: Any) -> Obj:
    containers = [{"name": n, "image": f"{n}:1"} for n in names or ("main",)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": uid or f"uid-{name}",
                     "generation": 1},
        "spec": {"containers": containers, "restartPolicy": "Always", "nodeName": "node1",
                 "terminationGracePeriodSeconds": 30} | spec,
        "status": {"phase": "Pending"},
    }  # fmt: skip


def manifest(name: str = "web", image: str = "main:1", **spec: Any) -> bytes:
    """A static pod's file."""
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }
    return yaml.safe_dump(made).encode()


def deleting(pod: Obj, *, grace: int = 30, since: float = 0) -> Obj:
    stamp = at(since + grace).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta = pod["metadata"] | {"deletionTimestamp": stamp, "deletionGracePeriodSeconds": grace}
    return pod | {"metadata": meta}


def ran(name: str, attempt: int = 0, **fields: Any) -> Container:
    """A container; give ``exit_code`` and ``end`` (seconds) for one that has exited."""
    labels = {CONTAINER_NAME: name, ATTEMPT: str(attempt), POD_UID: "uid-web"}
    end = fields.pop("end", None)
    state = fields.pop("state", "running" if end is None else "exited")
    return Container(
        id=f"{name}-{attempt}", name=f"{name}-{attempt}", state=state, labels=labels,
        image=f"{name}:1", image_id="sha", created_at=T0, started_at=T0,
        finished_at=None if end is None else at(end), **fields,
    )  # fmt: skip


def state_of(*found: Container, sandbox: bool = True, **fields: Any) -> PodState:
    errors = fields.pop("start_errors", {})
    attempts: dict[str, tuple[Attempt, ...]] = group_attempts(found, errors)
    return PodState(attempts=attempts, sandbox=sandbox, pod_ip="10.42.0.2", **fields)
