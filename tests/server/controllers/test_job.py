"""Jobs on virtual time: their lives, field by field, as users see them in status and events."""

from datetime import timedelta

import pytest

from edgek.api.time import format_time
from edgek.kinds import JOB, POD
from server.controllers import job, job_orphan_pods
from server.controllers.job_pods import INDEX, TRACKING
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

pytestmark = pytest.mark.looptime
ALL = (job.build, job_orphan_pods.build)


def make_job(name="pi", restart="Never", **spec):
    labels = {"batch.kubernetes.io/controller-uid": f"uid-{name}"}
    pod = {"containers": [{"name": "c", "image": "x"}], "restartPolicy": restart}
    defaults = {
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "podReplacementPolicy": "TerminatingOrFailed",
    }
    if "parallelism" not in spec:
        defaults["completions"] = 1
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", "generation": 1},
        "spec": {
            **defaults,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


def indexed(completions, **spec):
    spec = {"parallelism": completions} | spec
    return make_job(completions=completions, completionMode="Indexed", **spec)


class World:
    """The Job ``pi`` and its pods, with a node's hands."""

    def __init__(self, loops):
        self.loops, self.api = loops, loops.api

    @property
    def job(self):
        return self.api.one(JOB, "ns", "pi")

    @property
    def status(self):
        return self.job.get("status", {})

    def pods(self, phase=""):
        found = sorted(self.api.all(POD), key=lambda p: p["metadata"]["name"])
        return [p for p in found if not phase or p.get("status", {}).get("phase", "") == phase]

    def active(self):
        return [p for p in self.pods() if p.get("status", {}).get("phase") in (None, "Running")
                and not p["metadata"].get("deletionTimestamp")]  # fmt: skip

    def conditions(self):
        return [(c["type"], c["status"], c.get("reason")) for c in self.status["conditions"]]

    async def end(self, *pods, code=0, conditions=()):
        """The pods' only container ends."""
        at = format_time(self.loops.context.clock.now())
        state = {"terminated": {"exitCode": code, "finishedAt": at}}
        for pod in pods:
            status = {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"name": "c", "state": state}],
                "conditions": list(conditions),
            }
            self.api.put(POD, {**self.api.one(POD, "ns", pod["metadata"]["name"]),
                               "status": status})  # fmt: skip
        await self.loops.settle(1)

    async def change(self, **spec):
        old = self.job
        meta = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
        self.api.put(JOB, {**old, "metadata": meta, "spec": {**old["spec"], **spec}})
        await self.loops.settle(1)


@pytest.fixture
def api():
    return MemoryApi()


@pytest.fixture
async def start(api):
    """Starts the controllers on a Job."""
    stack = []

    async def begin(made):
        api.put(JOB, made)
        runner = running(api, *ALL)
        stack.append(runner)
        return World(await runner.__aenter__())

    yield begin
    for runner in stack:
        await runner.__aexit__(None, None, None)


async def test_a_job_runs_its_pods_and_completes(start):
    w = await start(make_job(completions=3, parallelism=2))
    first = w.pods()
    assert len(first) == 2
    assert all(p["metadata"]["finalizers"] == [TRACKING] for p in first)
    assert w.status == {
        "active": 2, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {},
        "startTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    w.loops.make_ready(*first)
    await w.loops.settle(1)
    assert w.status["ready"] == 2
    await w.end(*first)
    assert (w.status["active"], w.status["succeeded"]) == (1, 2)
    await w.end(*w.active())
    assert w.conditions() == [
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
        ("Complete", "True", "CompletionsReached"),
    ]
    assert w.status["succeeded"] == 3
    assert w.status["completionTime"] == w.status["conditions"][1]["lastTransitionTime"]
    assert "active" not in w.status
    assert not any(p["metadata"].get("finalizers") for p in w.pods())
    assert w.loops.events("Completed") == ["Completed: Job completed"]
    assert len(w.loops.events("SuccessfulCreate")) == 3


async def test_without_completions_one_success_is_enough(start):
    w = await start(make_job(parallelism=2))
    one, other = w.pods()
    await w.end(one)
    assert (len(w.active()), w.status["succeeded"]) == (1, 1)
    assert "conditions" not in w.status
    await w.end(other)
    assert w.conditions()[-1] == ("Complete", "True", "CompletionsReached")
    assert w.status["succeeded"] == 2


async def test_failed_pods_are_replaced_ever_more_slowly_until_the_limit(start, api):
    w = await start(make_job(backoffLimit=3))
    for wait in (10, 20, 40):
        await w.end(*w.active(), code=1)
        assert w.active() == []
        await w.loops.settle(wait - 3)
        assert w.active() == []
        await w.loops.settle(3)
        assert len(w.active()) == 1
    await w.end(*w.active(), code=1)
    assert w.conditions() == [
        ("FailureTarget", "True", "BackoffLimitExceeded"),
        ("Failed", "True", "BackoffLimitExceeded"),
    ]
    assert w.status["failed"] == 4
    assert "completionTime" not in w.status
    assert w.loops.events("BackoffLimitExceeded") == [
        "BackoffLimitExceeded: Job has reached the specified backoff limit"
    ]


async def test_a_restart_does_not_get_around_the_back_off(start, api):
    w = await start(make_job())
    await w.end(*w.active(), code=1)
    await w.loops.settle(10)
    await w.end(*w.active(), code=1)
    async with running(api, *ALL) as again:
        await again.settle(5)
        assert w.active() == []


async def test_pods_that_restart_themselves_count_by_their_restarts(start, api):
    w = await start(make_job(restart="OnFailure", backoffLimit=2))
    [pod] = w.pods()
    for restarts, over in ((1, False), (2, True)):
        statuses = [{"name": "c", "restartCount": restarts}]
        status = {"phase": "Running", "containerStatuses": statuses}
        api.put(POD, {**api.one(POD, "ns", pod["metadata"]["name"]), "status": status})
        await w.loops.settle(1)
        assert bool(w.status.get("conditions")) == over
    assert w.conditions()[-1] == ("Failed", "True", "BackoffLimitExceeded")
    assert w.pods() == []


async def test_a_deadline_ends_the_job_and_its_pods(start):
    w = await start(make_job(activeDeadlineSeconds=60))
    await w.loops.settle(50)
    assert "conditions" not in w.status
    await w.loops.settle(10)
    assert w.conditions() == [
        ("FailureTarget", "True", "DeadlineExceeded"),
        ("Failed", "True", "DeadlineExceeded"),
    ]
    assert (w.pods(), w.status["failed"]) == ([], 1)
    assert "DeadlineExceeded: Job was active longer than specified deadline" in w.loops.events()


async def test_a_suspended_job_has_no_pods_and_its_deadline_begins_anew(start):
    w = await start(make_job(activeDeadlineSeconds=60))
    await w.loops.settle(30)
    await w.change(suspend=True)
    assert w.pods() == []
    assert w.conditions() == [("Suspended", "True", "JobSuspended")]
    assert "failed" not in w.status
    await w.loops.settle(100)
    await w.change(suspend=False)
    assert w.conditions() == [("Suspended", "False", "JobResumed")]
    resumed = w.loops.context.clock.now() - timedelta(seconds=1)
    assert w.status["startTime"] == format_time(resumed)
    assert len(w.active()) == 1
    await w.loops.settle(50)
    assert len(w.active()) == 1
    await w.loops.settle(10)
    assert w.conditions()[-1] == ("Failed", "True", "DeadlineExceeded")
    assert w.loops.events("Suspended") == ["Suspended: Job suspended"]
    assert w.loops.events("Resumed") == ["Resumed: Job resumed"]


async def test_a_job_that_fails_when_it_is_resumed_does_not_start_anew(start):
    """The API refuses a new time with the old condition."""
    stopped = {"type": "Suspended", "status": "True"}
    status = {"startTime": "2025-01-01T00:00:00Z", "conditions": [stopped], "failed": 3}
    w = await start({**make_job(backoffLimit=2, activeDeadlineSeconds=9), "status": status})
    assert w.status["startTime"] == "2025-01-01T00:00:00Z"
    assert w.conditions()[-1] == ("Failed", "True", "BackoffLimitExceeded")


async def test_a_job_created_suspended_starts_when_resumed(start):
    w = await start(make_job(suspend=True))
    assert (w.pods(), w.status.get("startTime")) == ([], None)
    await w.change(suspend=False)
    assert (len(w.pods()), w.status["active"]) == (1, 1)


async def test_another_controllers_job_is_left_alone(start, api):
    w = await start(make_job(managedBy="acme.io/jobs"))
    assert (w.pods(), w.status, api.writes) == ([], {}, [])


async def test_an_idle_job_writes_nothing(start, api):
    w = await start(make_job())
    w.loops.make_ready(*w.pods())
    await w.loops.settle()
    api.calls.clear()
    await w.loops.settle(3600)
    assert api.calls == []


async def test_indexes_are_each_run_to_success(start):
    w = await start(indexed(3))
    pods = {p["metadata"]["annotations"][INDEX]: p for p in w.pods()}
    assert sorted(pods) == ["0", "1", "2"]
    pod = pods["1"]
    assert pod["metadata"]["name"].startswith("pi-1-")
    assert pod["metadata"]["labels"][INDEX] == "1"
    assert pod["spec"]["hostname"] == "pi-1"
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    [variable] = pod["spec"]["containers"][0]["env"]
    assert variable == {"name": "JOB_COMPLETION_INDEX", "valueFrom": field}
    await w.end(pods["0"], pods["2"])
    assert (w.status["completedIndexes"], w.status["succeeded"]) == ("0,2", 2)
    await w.end(pod, code=1)
    await w.loops.settle(10)
    [again] = w.active()
    assert again["metadata"]["annotations"][INDEX] == "1"
    await w.end(again)
    assert (w.status["completedIndexes"], w.status["failed"]) == ("0-2", 1)
    assert w.conditions()[-1][0] == "Complete"


async def test_an_indexed_job_grows_and_shrinks(start):
    w = await start(indexed(2))
    await w.end(*w.active())
    w = await start({**indexed(4), "metadata": {**w.job["metadata"]}, "status": {}})
    await w.end(*w.active()[2:])
    assert w.status["completedIndexes"] == "2,3"
    await w.change(completions=3, parallelism=3)
    assert (w.status["completedIndexes"], w.status["succeeded"]) == ("2", 1)
    assert len(w.active()) == 2
    await w.change(completions=5, parallelism=5)
    assert len(w.active()) == 4


async def test_each_index_has_its_own_limit(start):
    w = await start(indexed(3, backoffLimitPerIndex=1, backoffLimit=100))
    pods = w.pods()
    await w.end(*pods[1:])
    await w.end(pods[0], code=1)
    assert w.status["completedIndexes"] == "1,2"
    assert w.status["failedIndexes"] == ""
    assert w.pods()[0]["metadata"]["finalizers"] == [TRACKING]
    await w.loops.settle(10)
    [again] = w.active()
    assert again["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1"
    await w.end(again, code=1)
    assert w.status["failedIndexes"] == "0"
    assert w.conditions() == [
        ("FailureTarget", "True", "FailedIndexes"),
        ("Failed", "True", "FailedIndexes"),
    ]
    assert (w.status["failed"], w.status["succeeded"]) == (2, 2)


async def test_too_many_failed_indexes_end_the_job(start):
    w = await start(indexed(4, backoffLimitPerIndex=0, maxFailedIndexes=1, backoffLimit=100))
    pods = w.pods()
    await w.end(pods[0], code=1)
    assert len(w.active()) == 3
    await w.end(pods[2], code=1)
    assert w.conditions()[-1] == ("Failed", "True", "MaxFailedIndexesExceeded")
    assert w.active() == []


RULES = [
    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
]


async def test_a_failure_policy_may_fail_the_job(start):
    w = await start(make_job(completions=2, parallelism=2, podFailurePolicy={"rules": RULES}))
    one, _ = w.pods()
    await w.end(one, code=42)
    name = one["metadata"]["name"]
    message = (
        f"Container c for pod ns/{name} failed with exit code 42 matching FailJob rule at index 0"
    )
    assert [c["message"] for c in w.status["conditions"]] == [message] * 2
    assert w.conditions()[-1] == ("Failed", "True", "PodFailurePolicy")
    assert w.status["failed"] == 2


async def test_a_failure_policy_may_ignore_a_failure(start):
    w = await start(make_job(backoffLimit=0, podFailurePolicy={"rules": RULES}))
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    await w.end(*w.active(), code=1, conditions=disrupted)
    await w.loops.settle(10)
    assert "failed" not in w.status
    assert len(w.active()) == 1


async def test_a_failure_policy_may_give_up_an_index(start):
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [1]}}
    w = await start(
        indexed(2, backoffLimitPerIndex=5, backoffLimit=9, podFailurePolicy={"rules": [rule]})
    )
    await w.end(w.pods()[0], code=3)
    assert w.status["failedIndexes"] == "0"


async def test_a_success_policy_ends_the_job_early(start):
    policy = {"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 2}]}
    w = await start(indexed(4, successPolicy=policy))
    pods = w.pods()
    await w.end(pods[1])
    assert "conditions" not in w.status
    await w.end(pods[0])
    await w.end(pods[3])
    assert w.conditions() == [
        ("SuccessCriteriaMet", "True", "SuccessPolicy"),
        ("Complete", "True", "SuccessPolicy"),
    ]
    assert w.status["conditions"][0]["message"] == "Matched rules at index 0"
    assert (w.status["succeeded"], w.status["completedIndexes"]) == (3, "0,1,3")
    assert "failed" not in w.status
    assert len(w.pods()) == 3


def delete_slowly(w, pod):
    """A pod on a node, deleted: it is there until its node says that it ended."""
    meta = {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:09Z"}
    meta["finalizers"] = [*meta["finalizers"], "node"]
    w.api.put(POD, {**pod, "metadata": meta, "status": {"phase": "Running"}})


@pytest.mark.parametrize(("policy", "active"), [("TerminatingOrFailed", 1), ("Failed", 0)])
async def test_a_pod_that_is_going_is_replaced_at_once_or_when_it_ended(start, policy, active):
    w = await start(make_job(podReplacementPolicy=policy))
    [pod] = w.pods()
    delete_slowly(w, pod)
    await w.loops.settle(15)
    assert (len(w.active()), w.status["terminating"]) == (active, 1)
    assert w.status.get("active", 0) == active
    assert w.status.get("failed", 0) == active
    await w.end(pod, code=1)
    await w.loops.settle(15)
    assert (len(w.active()), w.status["terminating"]) == (1, 0)
    assert w.status["failed"] == 1


async def test_an_end_waits_for_the_last_pod(start):
    w = await start(make_job(completions=2, parallelism=2, backoffLimit=0))
    one, other = w.pods()
    delete_slowly(w, other)
    await w.end(one, code=1)
    assert w.conditions() == [("FailureTarget", "True", "BackoffLimitExceeded")]
    assert (w.status["terminating"], w.status["failed"]) == (1, 2)
    w.api.remove(POD, "ns", other["metadata"]["name"])
    await w.loops.settle(1)
    assert w.conditions()[-1] == ("Failed", "True", "BackoffLimitExceeded")


async def test_fewer_are_wanted_and_none_counts_as_failed(start):
    w = await start(make_job(completions=5, parallelism=3))
    await w.change(parallelism=1)
    assert (len(w.pods()), w.status["active"], w.status.get("failed")) == (1, 1, None)
    assert len(w.loops.events("SuccessfulDelete")) == 2


async def test_an_orphan_is_adopted_and_counted(start, api):
    w = await start(make_job(completions=2))
    labels = {"batch.kubernetes.io/controller-uid": "uid-pi"}
    api.put(POD, {"metadata": {"name": "stray", "namespace": "ns", "labels": labels},
                  "spec": {}})  # fmt: skip
    await w.loops.settle(1)
    pods = w.pods()
    assert len(pods) == 1
    assert pods[0]["metadata"]["finalizers"] == [TRACKING]
    await w.end(*pods)
    assert w.status["succeeded"] == 1


async def test_pods_of_a_job_that_is_gone_are_let_go(start, api):
    w = await start(make_job())
    assert w.pods()[0]["metadata"]["finalizers"] == [TRACKING]
    api.remove(JOB, "ns", "pi")
    await w.loops.settle(1)
    assert not w.pods()[0]["metadata"].get("finalizers")
    meta = {"name": "lost", "namespace": "ns", "finalizers": [TRACKING, "mine"]}
    api.put(POD, {"metadata": meta, "spec": {}})
    await w.loops.settle(1)
    assert api.one(POD, "ns", "lost")["metadata"]["finalizers"] == ["mine"]


async def test_many_ended_pods_are_counted_in_more_than_one_go(start):
    w = await start(make_job(completions=600, parallelism=600))
    await w.loops.settle(5)
    most = []
    w.api.before.append(lambda call: most.append(
        len(w.status.get("uncountedTerminatedPods", {}).get("succeeded", ()))
    ))  # fmt: skip
    await w.end(*w.active())
    await w.loops.settle(5)
    assert w.status["succeeded"] == 600
    assert max(most) == 500
    assert w.conditions()[-1][0] == "Complete"
