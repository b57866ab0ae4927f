"""Podman's JSON -> Container and Image. Pure.

Podman is not always right: where conmon was killed it says "running" of a dead process, and after
a reboot "created" of a container that ran before. ``lost`` says what is true then.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agent.runtime.runtime import Container, Image
from agent.runtime.spec import BOOT_LABEL, LOG_LABEL

_STATES = {
    "created": "created", "configured": "created", "initialized": "created",
    "running": "running", "paused": "running", "stopping": "running",
}  # fmt: skip
LOST_EXIT_CODE = 137
"""Nobody saw how it ended; the kubelet says 137 (ContainerStatusUnknown) then too."""


def observe_listed(entry: Mapping[str, Any]) -> Container:
    """An entry of ``/containers/json``: whole for running containers; of exited ones it lacks
    whether they ran out of memory."""
    names = entry.get("Names") or [""]
    state = _STATES.get(entry.get("State") or "", "exited")
    labels = entry.get("Labels") or {}
    return Container(
        id=entry["Id"],
        name=names[0],
        state=state,
        labels=labels,
        log_path=labels.get(LOG_LABEL, ""),
        image=entry.get("Image") or "",
        image_id=entry.get("ImageID") or "",
        pid=entry.get("Pid") or 0 if state == "running" else 0,
        exit_code=entry.get("ExitCode") or 0 if state == "exited" else 0,
        created_at=_time(entry.get("Created")),
        started_at=_unix(entry.get("StartedAt")),
        finished_at=_unix(entry.get("ExitedAt")) if state == "exited" else None,
    )


def observe_inspected(data: Mapping[str, Any]) -> Container:
    state = data.get("State") or {}
    word = _STATES.get(state.get("Status") or "", "exited")
    exited = word == "exited"
    labels = (data.get("Config") or {}).get("Labels") or {}
    return Container(
        id=data["Id"],
        name=data.get("Name") or "",
        state=word,
        labels=labels,
        log_path=labels.get(LOG_LABEL, ""),
        image=data.get("ImageName") or "",
        image_id=data.get("Image") or "",
        pid=state.get("Pid") or 0 if word == "running" else 0,
        exit_code=state.get("ExitCode") or 0 if exited else 0,
        oom_killed=bool(state.get("OOMKilled")) if exited else False,
        created_at=_time(data.get("Created")),
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")) if exited else None,
    )


def observe_created(
    container_id: str, body: Mapping[str, Any], *, image: Image, at: datetime
) -> Container:
    """What Podman has made by ``spec.plan_spec``'s body, as an inspection would tell it."""
    labels = body["labels"]
    return Container(
        id=container_id,
        name=body["name"],
        state="created",
        labels=labels,
        log_path=labels[LOG_LABEL],
        image=body["image"],
        image_id=image.id,
        created_at=at,
    )


def lost(container: Container, *, at: datetime) -> Container:
    """The same container with its end told as far as it is known."""
    return replace(
        container, state="exited", pid=0, exit_code=LOST_EXIT_CODE, finished_at=at,
        started_at=container.started_at or container.created_at,
    )  # fmt: skip


def from_earlier_boot(container: Container, *, boot: str) -> bool:
    return container.state != "exited" and container.labels.get(BOOT_LABEL, boot) != boot


def observe_image(entry: Mapping[str, Any]) -> Image:
    """From a list's entry or an inspection."""
    names = [*(entry.get("RepoTags") or ()), *(entry.get("RepoDigests") or ())]
    config = entry.get("Config") or {}
    return Image(
        id=entry.get("Id") or "",
        names=tuple(names),
        size_bytes=entry.get("Size") or 0,
        user=entry.get("User") or config.get("User") or "",
        env=frozenset(pair.partition("=")[0] for pair in config.get("Env") or ()),
        # As the CRI plugin of containerd marks the images it must keep.
        pinned=(entry.get("Labels") or {}).get("io.cri-containerd.pinned") == "pinned",
        containers=entry.get("Containers") or 0,
    )


def _time(text: Any) -> datetime | None:
    """Podman's zero is the year 1."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(_microseconds(text)).astimezone(UTC)


def _microseconds(text: str) -> str:
    """RFC 3339 with nanoseconds has more digits than datetime takes."""
    head, dot, rest = text.partition(".")
    if not dot:
        return text
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{head}.{digits[:6]}{rest[len(digits) :]}"


def _unix(seconds: Any) -> datetime | None:
    return (
        datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and seconds > 0 else None
    )
