"""What a first status may wait for, and what it may not."""

import pytest

from agent.pods.status_writer import only_begins
from edgek.api.meta import Obj

NEW: Obj = {"metadata": {"name": "a"}, "status": {"phase": "Pending"}}
TOLD: Obj = NEW | {"status": {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z"}}


def status(why: str, **more: object) -> Obj:
    waiting = {"name": "main", "state": {"waiting": {"reason": why}}}
    return {"phase": "Pending", "containerStatuses": [waiting], **more}


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_that_a_pod_begins_may_wait(reason: str) -> None:
    assert only_begins(NEW, status(reason))


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (NEW, status("ErrImagePull")),
        (NEW, status("ContainerCreating", reason="Evicted")),
        (NEW, status("ContainerCreating", phase="Running")),
        (NEW, status("ContainerCreating", phase="Failed")),
        (TOLD, status("ContainerCreating")),
    ],
)
def test_news_do_not_wait(pod: Obj, told: Obj) -> None:
    assert not only_begins(pod, told)


def test_a_running_init_container_is_news() -> None:
    init = {"name": "first", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    assert not only_begins(NEW, status("PodInitializing", initContainerStatuses=[init]))
