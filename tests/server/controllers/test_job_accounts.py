"""Every pod of a Job is counted once: wherever the server dies, and whatever its caches show."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.errors import NotFound, Timeout
from edgek.api.meta import uid
from edgek.control.controller import DONE, ForKind
from edgek.kinds import JOB, POD
from edgek.kinds.pods import is_terminal
from server.controllers import job, job_orphan_pods
from server.controllers.job_pods import INDEX, TRACKING
from server.controllers.job_tracking import on_the_wire, plan_tracking, settle
from server.controllers.job_view import JobView
from tests.support.loops import running
from tests.support.memory_api import MemoryApi, dies_at, fail

JOB_UID = "uid-pi"
LABELS = {"batch.kubernetes.io/controller-uid": JOB_UID}


def make_job(**spec):
    pod = {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "pi", "namespace": "ns", "uid": JOB_UID, "generation": 1},
        "spec": {
            "completions": 4,
            "parallelism": 2,
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
            "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
            **spec,
        },
    }


class Node:
    """Ends every pod at once: each by the next outcome of a list that outlives the server."""

    name = "kubelet"
    kind = POD
    watches = (ForKind(POD),)

    def __init__(self, context, outcomes, ended):
        self._context, self._outcomes, self._ended = context, outcomes, ended
        self._pods = context.informers.get(POD)

    async def reconcile(self, key):
        pod = self._pods.get(key)
        if pod is None or is_terminal(pod):
            return DONE
        if uid(pod) not in self._ended:
            self._ended[uid(pod)] = self._outcomes.pop(0) if self._outcomes else "Succeeded"
        status = {"phase": self._ended[uid(pod)]}
        await self._context.client.update_status(POD, {**pod, "status": status})
        return DONE


class World:
    def __init__(self, made, outcomes=()):
        self.api = MemoryApi()
        self.api.put(JOB, made)
        self.ended, self._outcomes = {}, list(outcomes)

    def run(self):
        node = lambda context: Node(context, self._outcomes, self.ended)  # noqa: E731
        return running(self.api, job.build, job_orphan_pods.build, node)

    async def cut_off(self, number, when):
        hooks = self.api.before if when == "before" else self.api.after
        hooks.append(dies_at(number))
        async with self.run() as loops:
            await loops.settle(60)
        hooks.clear()

    @property
    def status(self):
        return self.api.one(JOB, "ns", "pi")["status"]

    def check(self):
        """Its numbers are those of the pods that there were."""
        ends = Counter(self.ended.values())
        found = self.status.get("succeeded", 0), self.status.get("failed", 0)
        assert found == (ends["Succeeded"], ends["Failed"])
        assert self.status["uncountedTerminatedPods"] == {}
        assert not any(p["metadata"].get("finalizers") for p in self.api.all(POD))


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(40))
async def test_a_job_counts_the_same_wherever_it_was_cut(number, when):
    w = World(make_job(), ["Succeeded", "Failed", "Failed", "Succeeded", "Failed"])
    await w.cut_off(number, when)
    async with w.run() as loops:
        await loops.settle(1000)
        assert [c["type"] for c in w.status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
        assert len(w.ended) == len(w.api.all(POD)) == 7
        w.check()


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(0, 40, 2))
async def test_an_indexed_job_counts_the_same_wherever_it_was_cut(number, when):
    made = make_job(completionMode="Indexed", backoffLimitPerIndex=1, backoffLimit=99)
    w = World(made, ["Failed", "Succeeded", "Failed", "Failed", "Succeeded", "Succeeded"])
    await w.cut_off(number, when)
    async with w.run() as loops:
        await loops.settle(1000)
        indexes = {p["metadata"]["annotations"][INDEX] for p in w.api.all(POD)}
        assert indexes == {"0", "1", "2", "3"}
        assert w.status["succeeded"] + len(w.status["failedIndexes"].split(",")) * (
            w.status["failedIndexes"] != ""
        ) == 4  # fmt: skip
        assert w.status["conditions"][-1]["type"] in ("Complete", "Failed")
        w.check()


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(0, 24, 2))
async def test_a_job_that_fails_counts_the_same_wherever_it_was_cut(number, when):
    w = World(make_job(backoffLimit=1, parallelism=1), ["Failed"] * 4)
    await w.cut_off(number, when)
    async with w.run() as loops:
        await loops.settle(1000)
        assert [c["type"] for c in w.status["conditions"]] == ["FailureTarget", "Failed"]
        assert w.status["failed"] == len(w.ended) == 2
        w.check()


def touch(api):
    old = api.one(JOB, "ns", "pi")
    meta = {**old["metadata"], "annotations": {"touched": old["metadata"]["resourceVersion"]}}
    api.put(JOB, {**old, "metadata": meta})


def hold_when_named(api, kind):
    """An ``after`` hook: once the Job's status names pods, watches of the kind say no more."""

    def hook(call):
        if "/jobs/pi/status" in call.path:
            named = api.one(JOB, "ns", "pi")["status"]["uncountedTerminatedPods"]
            api.held |= {kind} if named else set()

    return hook


@pytest.mark.looptime
async def test_a_pod_that_the_cache_shows_uncounted_still_is_not_counted_again():
    w = World(make_job(completions=9), ["Failed", "Failed"])
    w.api.after.append(hold_when_named(w.api, POD))
    async with w.run() as loops:
        counted = len(w.ended)
        assert counted
        for _ in range(3):
            touch(w.api)
            await loops.settle(50)
            assert w.status.get("failed", 0) + w.status.get("succeeded", 0) == counted
            assert w.status["uncountedTerminatedPods"] == {}
        w.api.after.clear()
        w.api.release(POD)
        await loops.settle(200)
        assert w.status["succeeded"] == 9
        w.check()


@pytest.mark.looptime
async def test_a_job_that_the_cache_shows_with_names_is_not_counted_again():
    w = World(make_job(), ["Failed", "Failed"])
    w.api.after.append(hold_when_named(w.api, JOB))
    async with w.run() as loops:
        await loops.settle(20)
        counted = len(w.ended)
        assert w.status.get("failed", 0) + w.status.get("succeeded", 0) == counted
        w.api.after.clear()
        w.api.release(JOB)
        await loops.settle(200)
        assert w.status["succeeded"] == 4
        w.check()


@pytest.mark.looptime
@pytest.mark.parametrize("error", [Timeout("lost"), NotFound("no pods")])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_an_answer_that_is_lost_changes_no_number(error, side):
    w = World(make_job(), ["Failed", "Succeeded"])
    getattr(w.api, side).append(fail("PATCH", "pods", error, times=3))
    async with w.run() as loops:
        await loops.settle(100)
        ends = Counter(w.ended.values())
        assert (w.status["succeeded"], w.status["failed"]) == (ends["Succeeded"], ends["Failed"])


@pytest.mark.looptime
async def test_a_suspended_job_counts_what_ended_before_it_was_seen_to():
    """The cache shows a pod running that is over: it must not go uncounted."""
    api = MemoryApi()
    api.put(JOB, make_job(completions=1))
    async with running(api, job.build) as loops:
        [pod] = api.all(POD)
        api.held.add(POD)
        api.put(POD, {**pod, "status": {"phase": "Succeeded"}})
        old = api.one(JOB, "ns", "pi")
        api.put(JOB, {**old, "spec": {**old["spec"], "suspend": True}})
        await loops.settle(5)
        api.release(POD)
        await loops.settle(400)
        status = api.one(JOB, "ns", "pi")["status"]
        assert status["succeeded"] == 1
        assert status["conditions"][-1]["type"] == "Complete"


# -- the plan alone, cut off anywhere, any number of times ---------------------------------------

PHASES = st.sampled_from(["Running", "Succeeded", "Failed"])


class Server:
    """A Job and its pods as they are stored, and what a cache shows of the Job."""

    def __init__(self, phases):
        self.phases = phases
        self.pods = [{"metadata": {"name": f"p{n}", "uid": f"u{n}", "finalizers": [TRACKING]},
                      "status": {"phase": "Running"}} for n in range(len(phases))]  # fmt: skip
        self.stored = self.seen = {**make_job(), "status": {}, "version": 0}

    def end(self):
        for pod, phase in zip(self.pods, self.phases, strict=True):
            pod["status"] = {"phase": phase}

    def catch_up(self):
        self.seen = self.stored

    def _write(self, status):
        """Over the version that it was planned from, or not at all."""
        version = self.seen["version"]
        if version == self.stored["version"]:
            status = on_the_wire(status)
            self.stored = {**self.seen, "status": status, "version": version + 1}

    def name(self):
        self._write(self._plan().status)

    def release(self):
        """Half of those that are named: then we are cut off."""
        plan = self._plan() if self.seen is self.stored else None
        named = self.numbers()[1]
        ready = [p for p in plan.release if p["metadata"]["uid"] in named] if plan else []
        for pod in ready[: (len(ready) + 1) // 2]:
            pod["metadata"]["finalizers"] = []

    def count(self):
        tracked = {p["metadata"]["uid"] for p in self.pods if p["metadata"]["finalizers"]}
        self._write(settle(self.seen["status"], tracked))

    def _plan(self):
        view = JobView(job=self.seen, pods=self.pods)
        return plan_tracking(view, view.status, None)

    def numbers(self):
        """Succeeded and failed ones, with those named; and the names."""
        status = self.stored["status"]
        named = status.get("uncountedTerminatedPods", {})
        fields = ("succeeded", "failed")
        numbers = [status.get(f, 0) + len(named.get(f, ())) for f in fields]
        return numbers, {name for names in named.values() for name in names}


STEPS = st.lists(st.sampled_from([Server.end, Server.catch_up, Server.name, Server.release,
                                  Server.count]), max_size=40)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PHASES, min_size=1, max_size=6), STEPS)
def test_no_order_of_steps_counts_a_pod_twice_or_never(phases, steps):
    server = Server(phases)
    for step in [*steps, Server.end, Server.catch_up, Server.name]:
        step(server)
    numbers, _ = server.numbers()
    assert numbers == [phases.count("Succeeded"), phases.count("Failed")]
