"""What is done for a pod in each of the situations it can be in."""

import pytest

from agent.pods.decisions import PodActions
from agent.pods.plan import plan_pod
from agent.pods.state import Backoff, Failure, PodState
from edgek.api.meta import Obj
from tests.support.pods import at, deleting, make_pod, ran, state_of


def starts(actions: PodActions) -> list[tuple[str, int]]:
    return [(s.name, s.number) for s in actions.start]


def stops(actions: PodActions) -> list[tuple[str, int]]:
    return [(s.name, s.grace_seconds) for s in actions.stop]


def plan(pod: Obj, state: PodState, seconds: float = 0) -> PodActions:
    return plan_pod(pod, state, now=at(seconds))


def test_a_new_pod_gets_its_sandbox_first_and_then_all_containers_at_once() -> None:
    pod = make_pod("web", "a", "b")
    assert plan(pod, PodState()) == PodActions(create_sandbox=True)
    assert starts(plan(pod, state_of())) == [("a", 0), ("b", 0)]


def test_nothing_is_done_for_a_pod_that_runs() -> None:
    assert plan(make_pod(), state_of(ran("main"))) == PodActions()


@pytest.mark.parametrize(
    ("policy", "code", "restarted"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
     ("Never", 0, False), ("Never", 1, False)],
)  # fmt: skip
def test_restart_policy_decides_what_follows_an_exit(
    policy: str, code: int, restarted: bool
) -> None:
    actions = plan(make_pod(restartPolicy=policy), state_of(ran("main", exit_code=code, end=5)))
    assert starts(actions) == ([("main", 1)] if restarted else [])
    assert actions.finished is not restarted


def test_a_crash_loop_waits_and_names_the_time() -> None:
    state = state_of(
        ran("main", 1, exit_code=1, end=5), backoffs={"main": Backoff(seconds=10, since=at(0))}
    )
    assert plan(make_pod(), state, 14) == PodActions(wait_until=at(15))
    assert starts(plan(make_pod(), state, 15)) == [("main", 2)]


def test_init_containers_run_one_by_one_before_the_others() -> None:
    inits = [{"name": "i1", "image": "i"}, {"name": "i2", "image": "i"}]
    pod = make_pod(initContainers=inits)
    assert starts(plan(pod, state_of())) == [("i1", 0)]
    assert plan(pod, state_of(ran("i1"))) == PodActions()
    first = ran("i1", end=1)
    assert starts(plan(pod, state_of(first))) == [("i2", 0)]
    assert starts(plan(pod, state_of(first, ran("i2", exit_code=1, end=2)))) == [("i2", 1)]
    assert starts(plan(pod, state_of(first, ran("i2", end=2)))) == [("main", 0)]


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    pod = make_pod(restartPolicy="Never", initContainers=[{"name": "i", "image": "i"}])
    assert plan(pod, state_of(ran("i", exit_code=1, end=1))).finished


def test_init_containers_are_not_run_again_when_the_main_one_restarts() -> None:
    pod = make_pod(initContainers=[{"name": "i", "image": "i"}])
    assert starts(plan(pod, state_of(ran("main", exit_code=1, end=5)), 5)) == [("main", 1)]


SIDECAR = {"name": "side", "image": "s", "restartPolicy": "Always"}


def test_a_sidecar_runs_before_and_beside_the_containers_and_ends_after_them() -> None:
    pod = make_pod(initContainers=[SIDECAR], restartPolicy="Never")
    assert starts(plan(pod, state_of())) == [("side", 0)]
    waiting = state_of(ran("side"), started={"side-0": False})
    assert plan(pod, waiting) == PodActions()
    assert starts(plan(pod, state_of(ran("side")))) == [("main", 0)]
    died = state_of(ran("side", exit_code=1, end=1), ran("main"))
    assert starts(plan(pod, died, 1)) == [("side", 1)]
    over = plan(pod, state_of(ran("side"), ran("main", end=3)))
    assert (stops(over), over.finished) == ([("side", 30)], False)


def test_a_deleted_pod_stops_containers_then_sidecars_and_is_finished_then() -> None:
    pod = deleting(make_pod(initContainers=[SIDECAR]), grace=7)
    assert stops(plan(pod, state_of(ran("side"), ran("main")))) == [("main", 7)]
    under_way = state_of(ran("side"), ran("main"), stopping=frozenset({"main-0"}))
    assert stops(plan(pod, under_way)) == []
    since = state_of(ran("side"), ran("main", end=5), ending=at(0))
    assert stops(plan(pod, since, 5)) == [("side", 2)]
    assert plan(pod, state_of(ran("side", end=6), ran("main", end=5))).finished


def test_a_changed_image_and_a_failed_probe_stop_a_container_and_say_why() -> None:
    changed = ran("main")
    changed.labels["io.edgek.spec-hash"] = "other"  # type: ignore[index]
    (stop,) = plan(make_pod(), state_of(changed)).stop
    assert stop.why == "Container main definition changed, will be restarted"
    (stop,) = plan(make_pod(), state_of(ran("main"), unhealthy={"main-0": "liveness probe"})).stop
    assert stop.why == "Container main failed liveness probe, will be restarted"


def test_a_lost_sandbox_removes_every_container_before_a_new_one_is_made() -> None:
    state = state_of(ran("main", 3, exit_code=255, end=0), sandbox=False)
    assert plan(make_pod(), state) == PodActions(remove=("main-3",), create_sandbox=True)


def test_the_count_of_restarts_goes_on_when_the_containers_are_gone() -> None:
    pod = make_pod()
    pod["status"]["containerStatuses"] = [
        {"name": "main", "restartCount": 4, "containerID": "podman://x"}
    ]
    assert starts(plan(pod, state_of())) == [("main", 5)]


def test_a_pod_that_is_over_starts_nothing_even_with_its_containers_gone() -> None:
    pod = make_pod(restartPolicy="Always")
    pod["status"]["phase"] = "Failed"
    assert plan(pod, PodState()) == PodActions(ending=True, finished=True)


def test_a_refused_pod_and_one_past_its_deadline_are_stopped() -> None:
    failed = state_of(ran("main"), failure=Failure(reason="OutOfcpu", message="no"))
    assert stops(plan(make_pod(), failed)) == [("main", 30)]
    late = make_pod(activeDeadlineSeconds=60)
    late["status"]["startTime"] = "2026-01-01T00:00:00Z"
    assert plan(late, state_of(ran("main")), 59) == PodActions(wait_until=at(60))
    assert stops(plan(late, state_of(ran("main")), 60)) == [("main", 30)]


def test_a_container_made_but_never_started_is_made_again_with_its_number() -> None:
    actions = plan(make_pod(), state_of(ran("main", 2, state="created")))
    assert (actions.remove, starts(actions)) == (("main-2",), [("main", 2)])


def test_one_that_would_not_start_counts_as_an_attempt() -> None:
    state = state_of(
        ran("main", 0, state="created"),
        start_errors={"main-0": "no such file"},
        backoffs={"main": Backoff(seconds=10, since=at(0))},
    )
    assert plan(make_pod(), state, 1) == PodActions(wait_until=at(10))


def test_only_the_last_two_containers_are_kept() -> None:
    state = state_of(ran("main", 2), ran("main", 1, end=2), ran("main", 0, end=1))
    assert plan(make_pod(), state).remove == ("main-0",)


def rule(action: str, operator: str, *codes: int) -> Obj:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(codes)}}


@pytest.mark.parametrize(
    ("pod_policy", "own", "rules", "code", "restarted"),
    [
        ("Always", "Never", [], 1, False),
        ("Never", "OnFailure", [], 1, True),
        ("Never", "OnFailure", [], 0, False),
        ("Never", "Never", [rule("Restart", "In", 3, 4)], 4, True),
        ("Never", "Never", [rule("Restart", "In", 3, 4)], 5, False),
        ("Never", "Never", [rule("Restart", "NotIn", 3)], 5, True),
        ("Never", "Always", [rule("Restart", "NotIn", 3)], 3, True),
    ],
)
def test_a_container_of_its_own_mind_comes_before_the_pod(
    pod_policy: str, own: str, rules: list[Obj], code: int, restarted: bool
) -> None:
    pod = make_pod(restartPolicy=pod_policy)
    pod["spec"]["containers"][0] |= {"restartPolicy": own, "restartPolicyRules": rules}
    actions = plan(pod, state_of(ran("main", exit_code=code, end=5)), 5)
    assert starts(actions) == ([("main", 1)] if restarted else [])


def test_a_probe_that_fails_brings_its_own_grace() -> None:
    pod = make_pod()
    pod["spec"]["containers"][0] |= {
        "livenessProbe": {"terminationGracePeriodSeconds": 5},
        "startupProbe": {"terminationGracePeriodSeconds": 7},
    }
    for said, grace in (("liveness probe", 5), ("startup probe", 7), ("PostStartHook", 30)):
        sick = state_of(ran("main"), unhealthy={"main-0": said})
        assert stops(plan(pod, sick)) == [("main", grace)]


def test_a_container_killed_for_its_probe_starts_again_though_it_ended_well() -> None:
    pod = make_pod(restartPolicy="OnFailure")
    (stop,) = plan(pod, state_of(ran("main"), unhealthy={"main-0": "liveness probe"})).stop
    assert stop.restart
    ended = state_of(ran("main", end=3), must_restart=frozenset({"main-0"}))
    assert starts(plan(pod, ended, 3)) == [("main", 1)]
    never = make_pod(restartPolicy="Never")
    (stop,) = plan(never, state_of(ran("main"), unhealthy={"main-0": "liveness probe"})).stop
    assert (stop.restart, stop.why) == (False, "Container main failed liveness probe")


def test_an_ephemeral_container_that_is_gone_is_not_started_again() -> None:
    pod = make_pod(ephemeralContainers=[{"name": "look", "image": "x"}])
    assert starts(plan(pod, state_of(ran("main")))) == [("look", 0)]
    assert plan(pod, state_of(ran("main"), ran("look", end=1, exit_code=1))) == PodActions()
    told = {"name": "look", "containerID": "podman://x", "state": {"terminated": {}}}
    pod["status"]["ephemeralContainerStatuses"] = [told]
    assert plan(pod, state_of(ran("main"))) == PodActions()
