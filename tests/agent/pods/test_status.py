"""What users see of a pod in each of the situations it can be in."""

from dataclasses import replace
from typing import Any

import pytest

from agent.pods.state import Backoff, Failure, PodState, Waiting
from agent.pods.status import make_status
from agent.runtime.runtime import User
from edgek.api.conditions import find_condition
from edgek.api.meta import Obj
from tests.support.pods import at, deleting, make_pod, ran, state_of


def status(pod: Obj, state: PodState, seconds: float = 0) -> Obj:
    return make_status(pod, state, now=at(seconds), host_ip="192.0.2.1")


def condition(got: Obj, kind: str) -> Any:
    found = find_condition(got["conditions"], kind)
    assert found is not None
    return found


def test_a_pod_that_runs_is_running_and_ready() -> None:
    got = status(make_pod(), state_of(ran("main")))
    assert got["phase"] == "Running"
    assert got["podIPs"] == [{"ip": "10.42.0.2"}]
    assert (got["hostIP"], got["qosClass"]) == ("192.0.2.1", "BestEffort")
    (container,) = got["containerStatuses"]
    assert container == {
        "name": "main", "ready": True, "started": True, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": {},
        "image": "main:1", "imageID": "sha", "containerID": "podman://main-0", "resources": {},
    }  # fmt: skip
    for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"):
        assert condition(got, kind)["status"] == "True"
        assert condition(got, kind)["observedGeneration"] == 1


def test_a_pod_that_waits_says_for_what() -> None:
    got = status(make_pod("web", "a", "b"), PodState(waiting={"a": Waiting(reason="ErrImagePull",
                                                                      message="no")}))  # fmt: skip
    assert got["phase"] == "Pending"
    states = [c["state"] for c in got["containerStatuses"]]
    assert states == [
        {"waiting": {"reason": "ErrImagePull", "message": "no"}},
        {"waiting": {"reason": "ContainerCreating"}},
    ]
    assert condition(got, "Ready")["message"] == "containers with unready status: [a b]"
    assert condition(got, "PodReadyToStartContainers")["status"] == "False"


def test_a_crash_loop_shows_the_backoff_and_the_last_end() -> None:
    state = state_of(
        ran("main", 3, exit_code=7, end=5),
        ran("main", 2, exit_code=1, end=1),
        backoffs={"main": Backoff(seconds=80, since=at(0))},
    )
    (got,) = status(make_pod(), state, 6)["containerStatuses"]
    assert got["state"] == {"waiting": {
        "reason": "CrashLoopBackOff",
        "message": "back-off 1m20s restarting failed container=main pod=web_default(uid-web)",
    }}  # fmt: skip
    assert got["lastState"]["terminated"]["exitCode"] == 7
    assert got["restartCount"] == 3
    assert status(make_pod(), state, 6)["phase"] == "Running"


def test_an_end_by_the_oom_killer_is_named() -> None:
    state = state_of(ran("main", 1), ran("main", 0, exit_code=137, oom_killed=True, end=5))
    (got,) = status(make_pod(), state)["containerStatuses"]
    assert got["lastState"]["terminated"]["reason"] == "OOMKilled"


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_phase_of_pods_whose_containers_have_ended(
    policy: str, codes: tuple[int, int], phase: str
) -> None:
    pod = make_pod("web", "a", "b", restartPolicy=policy)
    state = state_of(ran("a", exit_code=codes[0], end=5), ran("b", exit_code=codes[1], end=5))
    got = status(pod, state, 5)
    assert got["phase"] == phase
    if phase == "Succeeded":
        assert condition(got, "Ready")["reason"] == "PodCompleted"
    over = phase != "Running"
    assert condition(got, "PodReadyToStartContainers")["status"] == str(not over)
    if over:  # the next agent knows no address of it
        assert status(pod | {"status": got}, PodState())["podIP"] == "10.42.0.2"


def test_a_pod_that_no_scheduler_has_told_of_is_told_as_scheduled() -> None:
    got = status(make_pod(), PodState())
    assert condition(got, "PodScheduled")["status"] == "True"
    assert condition(got, "PodScheduled")["observedGeneration"] == 1


def test_what_was_removed_to_begin_anew_is_told_as_that() -> None:
    pod = make_pod("web", "a", "b")
    pod["status"] = status(pod, state_of(ran("a"), ran("b", exit_code=3, end=5)), 5)
    pod["spec"]["initContainers"] = [{"name": "i", "image": "i"}]
    anew = status(pod, PodState(numbers={"a": 1, "b": 1}))
    assert condition(anew, "Initialized")["status"] == "True"
    gone = anew["containerStatuses"]
    assert gone[0]["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
    assert [c["restartCount"] for c in gone] == [0, 0]
    again = status(pod, state_of(ran("a", 1), ran("b", 1)))["containerStatuses"]
    assert again[1]["lastState"]["terminated"]["exitCode"] == 3


def test_initialization_is_told_step_by_step() -> None:
    pod = make_pod(initContainers=[{"name": "i", "image": "i"}])
    got = status(pod, state_of(ran("i")))
    assert (got["phase"], condition(got, "Initialized")["message"]) == (
        "Pending",
        "containers with incomplete status: [i]",
    )
    assert got["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    got = status(pod, state_of(ran("i", end=1), ran("main")))
    assert got["initContainerStatuses"][0]["ready"]
    assert condition(got, "Initialized")["status"] == "True"


def test_a_failed_init_container_of_a_pod_that_never_restarts_fails_it() -> None:
    pod = make_pod(restartPolicy="Never", initContainers=[{"name": "i", "image": "i"}])
    assert status(pod, state_of(ran("i", exit_code=1, end=1)))["phase"] == "Failed"


def test_probes_decide_ready_and_started() -> None:
    (got,) = status(make_pod(), state_of(ran("main"), ready={"main-0": False}))["containerStatuses"]
    assert (got["ready"], got["started"]) == (False, True)
    (got,) = status(make_pod(), state_of(ran("main"), started={"main-0": False}))[
        "containerStatuses"
    ]
    assert (got["ready"], got["started"]) == (False, False)


def test_readiness_gates_hold_readiness_back_until_their_condition_is_true() -> None:
    pod = make_pod(readinessGates=[{"conditionType": "x.io/lb"}])
    got = status(pod, state_of(ran("main")))
    assert condition(got, "Ready")["reason"] == "ReadinessGatesNotReady"
    assert condition(got, "ContainersReady")["status"] == "True"
    pod["status"]["conditions"] = [{"type": "x.io/lb", "status": "True"}]
    got = status(pod, state_of(ran("main")))
    assert condition(got, "Ready")["status"] == "True"
    assert condition(got, "x.io/lb")["status"] == "True"


def test_a_refused_pod_shows_the_reason_and_no_containers_whoever_looks_later() -> None:
    refused = Failure(reason="NodePorts", message="port 80 is taken", rejected=True)
    pod = make_pod()
    got = status(pod, PodState(failure=refused))
    assert (got["phase"], got["reason"]) == ("Failed", "NodePorts")
    assert got["message"] == "Pod was rejected: port 80 is taken"
    assert "containerStatuses" not in got
    assert status(pod | {"status": got}, PodState()) == got


def test_a_pod_that_ends_before_it_began_waits_for_nothing() -> None:
    ended = PodState(failure=Failure(reason="Evicted", message="The node was low on resource"))
    (container,) = status(make_pod(), ended)["containerStatuses"]
    assert container["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_what_cannot_be_started_is_told_as_that_and_then_as_a_loop() -> None:
    waiting = {"main": Waiting(reason="RunContainerError", message="no such file")}
    backoffs = {"main": Backoff(seconds=10, since=at(0))}
    for attempt, reason in ((0, "RunContainerError"), (1, "CrashLoopBackOff")):
        made = ran("main", attempt, state="created")
        state = state_of(
            made, start_errors={made.id: "no such file"}, waiting=waiting, backoffs=backoffs
        )
        (container,) = status(make_pod(), state, 6)["containerStatuses"]
        assert container["state"]["waiting"]["reason"] == reason
        assert container["lastState"]["terminated"]["reason"] == "StartError"


def test_a_restart_that_an_ending_agent_left_half_done_ends_no_pod() -> None:
    pod = make_pod()
    end = {"terminated": {"exitCode": 1, "reason": "Error"}}
    pod["status"]["containerStatuses"] = [{"name": "main", "state": {}, "lastState": end}]
    made = state_of(ran("main", 2, state="created"))
    assert status(pod, made)["phase"] == "Running"
    pod["status"] |= {"phase": "Failed", "containerStatuses": [{"name": "main", "state": end}]}
    (container,) = status(pod, made)["containerStatuses"]
    assert container["state"] == end


def test_phases_are_final_and_a_deleted_pod_ends_by_its_exit_codes() -> None:
    pod = make_pod()
    pod["status"]["phase"] = "Succeeded"
    assert status(pod, PodState())["phase"] == "Succeeded"
    gone = deleting(make_pod())
    assert status(gone, state_of(ran("main", end=5)))["phase"] == "Succeeded"
    assert status(gone, state_of(ran("main", exit_code=143, end=5)))["phase"] == "Failed"


def test_a_status_computed_twice_is_the_same() -> None:
    pod = make_pod()
    first = status(pod, state_of(ran("main")))
    assert status(pod | {"status": first}, state_of(ran("main")), 60) == first


def test_what_is_lost_in_a_reboot_is_last_seen_as_unknown() -> None:
    pod = make_pod()
    pod["status"] = status(pod, state_of(ran("main", 2)))
    (got,) = status(pod, PodState())["containerStatuses"]
    assert got["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert (got["restartCount"], got["state"]) == (2, {"waiting": {"reason": "ContainerCreating"}})


def test_a_sidecar_that_failed_does_not_make_a_job_fail() -> None:
    side = {"name": "side", "image": "s", "restartPolicy": "Always"}
    pod = make_pod(restartPolicy="Never", initContainers=[side])
    running = status(pod, state_of(ran("side"), ran("main", end=3)))
    assert running["phase"] == "Running"
    ended = status(pod, state_of(ran("side", exit_code=143, end=4), ran("main", end=3)), 5)
    assert ended["phase"] == "Succeeded"


def test_a_pod_is_ready_when_its_sidecars_are_too() -> None:
    side = {"name": "side", "image": "s", "restartPolicy": "Always"}
    pod = make_pod(initContainers=[{"name": "i", "image": "i"}, side])
    done = (ran("i", end=1), ran("side"))
    got = status(pod, state_of(*done, ran("main"), ready={"side-0": False}))
    for kind in ("ContainersReady", "Ready"):
        assert condition(got, kind)["message"] == "containers with unready status: [side]"
    assert condition(got, "Initialized")["status"] == "True"
    assert condition(status(pod, state_of(*done, ran("main"))), "Ready")["status"] == "True"
    early = status(pod, state_of(*done, started={"side-0": False}))
    message = "containers with incomplete status: [side]"
    assert condition(early, "Initialized")["message"] == message


def test_a_status_says_more_of_a_container_that_runs() -> None:
    pod = make_pod()
    pod["spec"]["containers"][0] |= {
        "lifecycle": {"stopSignal": "SIGUSR1"},
        "resources": {"requests": {"cpu": "1"}},
        "volumeMounts": [
            {"name": "a", "mountPath": "/a"},
            {"name": "b", "mountPath": "/b", "readOnly": True, "recursiveReadOnly": "Disabled"},
            {"name": "c", "mountPath": "/c", "readOnly": True, "recursiveReadOnly": "IfPossible"},
        ],
    }
    main = ran("main", user=User(uid=7, gid=8, groups=(8, 9)))
    main.labels["io.edgek.image-ref"] = "example.com/main@sha256:1"  # type: ignore[index]
    (got,) = status(pod, state_of(main))["containerStatuses"]
    assert got["user"] == {"linux": {"uid": 7, "gid": 8, "supplementalGroups": [8, 9]}}
    assert got["imageID"] == "example.com/main@sha256:1"
    assert (got["stopSignal"], got["allocatedResources"]) == ("SIGUSR1", {"cpu": "1"})
    assert got["volumeMounts"] == [
        {"name": "a", "mountPath": "/a"},
        {"name": "b", "mountPath": "/b", "readOnly": True, "recursiveReadOnly": "Disabled"},
        {"name": "c", "mountPath": "/c", "readOnly": True, "recursiveReadOnly": "Enabled"},
    ]
    old_kernel = replace(state_of(main), recursive_read_only=False)
    (got,) = status(pod, old_kernel)["containerStatuses"]
    assert got["volumeMounts"][2]["recursiveReadOnly"] == "Disabled"


def test_a_pod_the_node_ended_is_marked_as_disrupted_beside_what_others_say() -> None:
    pod = make_pod()
    evicted = Failure(reason="Evicted", message="low", disruption=True)
    got = status(pod, state_of(ran("main", exit_code=143, end=1), failure=evicted))
    assert (got["phase"], got["reason"]) == ("Failed", "Evicted")
    told = condition(got, "DisruptionTarget")
    assert (told["reason"], told["message"]) == ("TerminationByKubelet", "low")
