"""What ``kubectl get pods`` says of a pod in each state, as upstream's printers_test.go."""

from datetime import UTC, datetime

import pytest

from edgek.kinds.kind import Ago
from edgek.kinds.pod_columns import pod_status, ready_count, restarts

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def running(*, ready: bool = True, restarts: int = 0, **more: object) -> dict:
    return {"state": {"running": {}}, "ready": ready, "restartCount": restarts, **more}


def waiting(reason: str, **more: object) -> dict:
    return {"state": {"waiting": {"reason": reason}}, **more}


def ended(code: int, reason: str = "", **more: object) -> dict:
    state = {"exitCode": code, **({"reason": reason} if reason else {})}
    return {"state": {"terminated": state | more}}


def pod(
    phase: str = "Running", *, containers: tuple = (), inits: tuple = (), sidecars: tuple = (),
    deleting: bool = False, conditions: dict | None = None, reason: str = "",
) -> dict:  # fmt: skip
    """``inits`` run before, ``sidecars`` beside the containers; each is its status."""
    statuses = [{"name": f"s{i}", **s} for i, s in enumerate(sidecars)]
    statuses += [{"name": f"i{i}", **s} for i, s in enumerate(inits)]
    return {
        "metadata": {"name": "p"} | ({"deletionTimestamp": "x"} if deleting else {}),
        "spec": {
            "containers": [{"name": f"c{i}"} for i in range(len(containers) or 1)],
            "initContainers": [
                *({"name": f"s{i}", "restartPolicy": "Always"} for i in range(len(sidecars))),
                *({"name": f"i{i}"} for i in range(len(inits))),
            ],
        },
        "status": {
            "phase": phase,
            "reason": reason,
            "conditions": [{"type": t, "status": s} for t, s in (conditions or {}).items()],
            "containerStatuses": [{"name": f"c{i}", **s} for i, s in enumerate(containers)],
            "initContainerStatuses": statuses,
        },
    }


@pytest.mark.parametrize(
    ("found", "word"),
    [
        pytest.param(pod("Pending"), "Pending", id="phase"),
        pytest.param(pod("Failed", reason="Evicted"), "Evicted", id="reason"),
        pytest.param(pod(containers=(running(),)), "Running", id="running"),
        pytest.param(
            pod(containers=(waiting("CrashLoopBackOff"), running())), "CrashLoopBackOff", id="first"
        ),
        pytest.param(
            pod("Pending", containers=(waiting("ImagePullBackOff"),)), "ImagePullBackOff", id="pull"
        ),
        pytest.param(pod("Succeeded", containers=(ended(0, "Completed"),)), "Completed", id="done"),
        pytest.param(pod("Failed", containers=(ended(3, "Error"),)), "Error", id="error"),
        pytest.param(pod("Failed", containers=(ended(3),)), "ExitCode:3", id="code"),
        pytest.param(pod("Failed", containers=(ended(0, signal=9),)), "Signal:9", id="signal"),
        pytest.param(
            pod(containers=(ended(0, "Completed"), running()), conditions={"Ready": "True"}),
            "Running",
            id="one done, ready",
        ),
        pytest.param(
            pod(containers=(ended(0, "Completed"), running()), conditions={"Ready": "False"}),
            "NotReady",
            id="one done, not ready",
        ),
        pytest.param(pod(containers=(running(),), deleting=True), "Terminating", id="deleting"),
        pytest.param(
            pod("Succeeded", containers=(ended(0, "Completed"),), deleting=True),
            "Completed",
            id="deleted when over",
        ),
        pytest.param(pod(deleting=True, reason="NodeLost"), "Unknown", id="node lost"),
        pytest.param(
            pod("Pending", inits=(ended(0), waiting("PodInitializing"))), "Init:1/2", id="init"
        ),
        pytest.param(
            pod("Pending", inits=(waiting("CrashLoopBackOff"),)), "Init:CrashLoopBackOff", id="loop"
        ),
        pytest.param(pod("Pending", inits=(ended(1, "Error"),)), "Init:Error", id="init error"),
        pytest.param(pod("Pending", inits=(ended(7),)), "Init:ExitCode:7", id="init code"),
        pytest.param(
            pod("Pending", sidecars=(running(started=True),), inits=(waiting("PodInitializing"),)),
            "Init:1/2",
            id="sidecar started",
        ),
        pytest.param(
            pod(
                inits=(waiting("Gone"),),
                containers=(running(),),
                conditions={"Initialized": "True"},
            ),
            "Running",
            id="initialized once",
        ),
    ],
)
def test_status_says_the_most_telling_word(found: dict, word: str) -> None:
    assert pod_status(found) == word


def test_a_gated_pod_says_so() -> None:
    gated = pod("Pending")
    gated["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    ]
    assert pod_status(gated) == "SchedulingGated"


def test_ready_counts_sidecars_among_the_containers() -> None:
    found = pod(sidecars=(running(),), containers=(running(), running(ready=False)))
    assert ready_count(found) == "2/3"


def test_restarts_tell_when_the_last_one_was() -> None:
    last = {"terminated": {"finishedAt": "2026-01-01T11:55:00Z"}}
    older = {"terminated": {"finishedAt": "2026-01-01T10:00:00Z"}}
    found = pod(
        containers=(running(restarts=2, lastState=last), running(restarts=1, lastState=older))
    )
    cell = restarts(found)
    assert isinstance(cell, Ago)
    assert cell.render(NOW) == "3 (5m ago)"


def test_no_restart_is_a_plain_zero() -> None:
    assert restarts(pod(containers=(running(),))) == "0"


def test_restarts_of_init_containers_count_only_while_they_run() -> None:
    inits = (waiting("CrashLoopBackOff", restartCount=4),)
    assert restarts(pod("Pending", inits=inits)) == "4"
    done = pod(inits=(ended(0) | {"restartCount": 4},), containers=(running(restarts=1),))
    assert restarts(done) == "1"
