"""What a Job wants, decided from values: pods, ends, back-off, rules and indexes."""

from datetime import UTC, datetime, timedelta

import pytest

from edgek.kinds.job_indexes import (
    as_intervals,
    common_indexes,
    count_indexes,
    format_indexes,
    free_indexes,
    has_index,
    merge_indexes,
    read_indexes,
)
from server.controllers.job_backoff import Backoff, next_backoff, remaining, remaining_of_index
from server.controllers.job_ending import plan_ending, with_new_condition
from server.controllers.job_plan import plan_pods
from server.controllers.job_pods import FAILURES, IGNORED_FAILURES, INDEX, TRACKING, pod_maker
from server.controllers.job_rules import match_failure, match_success
from server.controllers.job_view import JobView

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
NEVER = Backoff()


def make_job(name="pi", status=None, **spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}
    defaults = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template,
                "podReplacementPolicy": "TerminatingOrFailed"}  # fmt: skip
    meta = {"name": name, "namespace": "ns", "uid": "u"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta,
            "spec": defaults | spec, "status": status or {}}  # fmt: skip


def make_pod(name, phase="Running", index=None, seconds=0, failures=0, **meta):
    """``seconds`` before NOW is when it ended."""
    ended = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    notes = {} if index is None else {INDEX: str(index), FAILURES: str(failures)}
    over = {"terminated": {"exitCode": 1, "finishedAt": ended}}
    status = {"phase": phase}
    if phase in ("Failed", "Succeeded"):
        status["containerStatuses"] = [{"name": "c", "state": over}]
    meta = {"name": name, "namespace": "ns", "uid": name, "finalizers": [TRACKING],
            "annotations": notes, "creationTimestamp": "2026-01-01T00:00:00Z"} | meta  # fmt: skip
    return {"metadata": meta, "spec": {}, "status": status}


def planned(job, *pods, backoff=NEVER):
    """Indexes or the number of pods to make, names of those to delete, seconds to wait."""
    view = JobView(job=job, pods=pods)
    plan = plan_pods(view, backoff, NOW)
    assert plan == plan_pods(JobView(job=job, pods=pods), backoff, NOW)
    made = [p["metadata"]["annotations"].get(INDEX) if "annotations" in p["metadata"] else None
            for p in plan.create]  # fmt: skip
    create = [int(m) for m in made if m is not None] if any(made) else len(made)
    return create, sorted(p["metadata"]["name"] for p in plan.delete), plan.wait.total_seconds()


RUNS = [make_pod("a"), make_pod("b"), make_pod("c")]
GOING = make_pod("g", deletionTimestamp="2026-01-01T00:59:59Z")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (planned(make_job(completions=5, parallelism=3)), (3, [], 0)),
        (planned(make_job(completions=2, parallelism=3)), (2, [], 0)),
        (planned(make_job(completions=5, parallelism=3), *RUNS), (0, [], 0)),
        (planned(make_job(completions=5, parallelism=3, status={"succeeded": 4}), RUNS[0]),
         (0, [], 0)),
        (planned(make_job(completions=5, parallelism=1), *RUNS[:2]), (0, ["a"], 0)),
        (planned(make_job(completions=5, parallelism=0), *RUNS), (0, ["a", "b", "c"], 0)),
        (planned(make_job(suspend=True, completions=5, parallelism=3), *RUNS),
         (0, ["a", "b", "c"], 0)),
        (planned(make_job(completions=None, parallelism=3), RUNS[0]), (2, [], 0)),
        (planned(make_job(completions=None, parallelism=3), RUNS[0],
                 make_pod("s", "Succeeded")), (0, [], 0)),
        (planned(make_job(completions=9, parallelism=900)), (9, [], 0)),
        (planned(make_job(completions=900, parallelism=900)), (500, [], 0)),
        (planned(make_job(), backoff=Backoff(failures=1, last=NOW - timedelta(seconds=4))),
         (0, [], 6)),
        (planned(make_job(), GOING), (1, [], 0)),
        (planned(make_job(podReplacementPolicy="Failed"), GOING), (0, [], 0)),
        (planned(make_job(podReplacementPolicy="Failed", parallelism=2, completions=2), GOING),
         (1, [], 0)),
    ],
)  # fmt: skip
def test_pods_are_made_and_deleted(found, expected):
    assert found == expected


def indexed(**spec):
    return make_job(completionMode="Indexed", **{"completions": 5, "parallelism": 3} | spec)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (planned(indexed()), ([0, 1, 2], [], 0)),
        (planned(indexed(status={"completedIndexes": "0,2", "succeeded": 2}),
                 make_pod("a", index=1)), ([3, 4], [], 0)),
        (planned(indexed(), make_pod("s", "Succeeded", index=0), make_pod("a", index=1)),
         ([2, 3], [], 0)),
        (planned(indexed(), make_pod("a", index=1), make_pod("b", index=1),
                 make_pod("c", index=0)), (0, ["a"], 0)),
        (planned(indexed(), make_pod("a", index=7), make_pod("b"), make_pod("c", index=0)),
         (0, ["a", "b"], 0)),
        (planned(indexed(podReplacementPolicy="Failed"),
                 make_pod("g", index=0, deletionTimestamp="2026-01-01T00:59:59Z")),
         ([1, 2], [], 0)),
        (planned(indexed(backoffLimitPerIndex=3, parallelism=5),
                 make_pod("f", "Failed", index=0, seconds=4)), ([1, 2, 3, 4], [], 0)),
        (planned(indexed(backoffLimitPerIndex=3, completions=1, parallelism=1),
                 make_pod("f", "Failed", index=0, seconds=4)), (0, [], 6)),
        (planned(indexed(backoffLimitPerIndex=3, completions=1, parallelism=1),
                 make_pod("f", "Failed", index=0, seconds=11, failures=1)), (0, [], 9)),
        (planned(indexed(backoffLimitPerIndex=0, completions=2, parallelism=2),
                 make_pod("f", "Failed", index=0, seconds=99)), ([1], [], 0)),
    ],
)  # fmt: skip
def test_indexes_are_given_out(found, expected):
    assert found == expected


@pytest.mark.parametrize(("counts", "expected"), [(True, ("3", None)), (False, ("2", "1"))])
def test_the_next_pod_of_an_index_knows_of_the_failures_before_it(counts, expected):
    action = "Count" if counts else "Ignore"
    rule = {"action": action, "onExitCodes": {"operator": "In", "values": [1]}}
    job = indexed(completions=1, parallelism=1, backoffLimitPerIndex=5,
                  podFailurePolicy={"rules": [rule]})  # fmt: skip
    failed = make_pod("f", "Failed", index=0, seconds=900, failures=2)
    [pod] = plan_pods(JobView(job=job, pods=[failed]), NEVER, NOW).create
    notes = pod["metadata"]["annotations"]
    assert (notes[FAILURES], notes.get(IGNORED_FAILURES)) == expected


def test_names_of_indexed_pods_stay_short():
    pod = pod_maker(indexed(name="n" * 63))(12, None)
    assert pod["metadata"]["generateName"] == "n" * 54 + "-12-"
    assert FAILURES not in pod["metadata"]["annotations"]


def test_a_variable_of_the_users_stays():
    mine = {"name": "JOB_COMPLETION_INDEX", "value": "x"}
    job = indexed()
    container = {"name": "c", "env": [mine]}
    job["spec"]["template"] = {"spec": {"containers": [container], "initContainers": [{}]}}
    spec = pod_maker(job)(0, None)["spec"]
    assert spec["containers"] == [container]
    assert spec["initContainers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    assert job["spec"]["template"]["spec"]["initContainers"] == [{}]


def ending(job, *pods):
    found = plan_ending(JobView(job=job, pods=pods), NOW)
    return found and (found["type"], found.get("reason"))


def restarted(name, times):
    pod = make_pod(name)
    return {**pod, "status": {"phase": "Running", "containerStatuses": [{"restartCount": times}]}}


ON_FAILURE = {"spec": {"restartPolicy": "OnFailure"}}
FAILED = [make_pod(n, "Failed") for n in "ab"]
DECIDED = {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ending(make_job()), None),
        (ending(make_job(backoffLimit=1), *FAILED), ("FailureTarget", "BackoffLimitExceeded")),
        (ending(make_job(backoffLimit=2), *FAILED), None),
        (ending(make_job(backoffLimit=2, status={"failed": 1}), *FAILED),
         ("FailureTarget", "BackoffLimitExceeded")),
        (ending(make_job(backoffLimit=2, status={"failed": 1, "uncountedTerminatedPods":
                {"failed": ["a", "b"]}}), *FAILED), ("FailureTarget", "BackoffLimitExceeded")),
        (ending(make_job(backoffLimit=2, status={"uncountedTerminatedPods":
                {"failed": ["a", "b"]}}), *FAILED), None),
        (ending(make_job(backoffLimit=0, template=ON_FAILURE), restarted("a", 0)), None),
        (ending(make_job(backoffLimit=0, template=ON_FAILURE), restarted("a", 1)),
         ("FailureTarget", "BackoffLimitExceeded")),
        (ending(make_job(backoffLimit=3, template=ON_FAILURE), restarted("a", 1),
                restarted("b", 1)), None),
        (ending(make_job(activeDeadlineSeconds=60,
                status={"startTime": "2026-01-01T00:59:01Z"})), None),
        (ending(make_job(activeDeadlineSeconds=60,
                status={"startTime": "2026-01-01T00:59:00Z"})),
         ("FailureTarget", "DeadlineExceeded")),
        (ending(make_job(activeDeadlineSeconds=2**63 - 1,
                status={"startTime": "2026-01-01T00:59:00Z"})), None),
        (ending(make_job(activeDeadlineSeconds=60, suspend=True,
                status={"startTime": "2026-01-01T00:00:00Z"})), None),
        (ending(make_job(status={"conditions": [DECIDED]})),
         ("FailureTarget", "DeadlineExceeded")),
    ],
)  # fmt: skip
def test_an_end_is_decided(found, expected):
    assert found == expected


@pytest.mark.parametrize(
    ("before", "pods", "succeeded", "failed"),
    [
        ({}, [make_pod("s", "Succeeded", index=0), make_pod("f", "Failed", index=0)], "0", ""),
        ({"failedIndexes": "0"}, [make_pod("s", "Succeeded", index=0)], "", "0"),
        ({"completedIndexes": "0"}, [make_pod("f", "Failed", index=0)], "0", ""),
        ({}, [make_pod("f", "Failed", index="9" * 5000)], "", ""),
    ],
)
def test_an_index_ends_once(before, pods, succeeded, failed):
    job = indexed(backoffLimitPerIndex=0, status=before)
    view = JobView(job=job, pods=pods)
    assert format_indexes(view.succeeded_indexes) == succeeded
    assert format_indexes(view.failed_indexes) == failed


def failures(*ago):
    return [make_pod(f"f{n}", "Failed", seconds=s) for n, s in enumerate(ago)]


def successes(*ago):
    return [make_pod(f"s{n}", "Succeeded", seconds=s) for n, s in enumerate(ago)]


@pytest.mark.parametrize(
    ("old", "succeeded", "failed", "count", "wait"),
    [
        (0, [], [], 0, 0),
        (0, [], failures(3), 1, 7),
        (0, [], failures(3, 9), 2, 17),
        (2, [], failures(3), 3, 37),
        (6, [], failures(0), 7, 600),
        (40, [], failures(0), 41, 600),
        (2, successes(5), [], 0, 0),
        (2, successes(5), failures(9, 4, 2), 2, 18),
        (2, successes(5), failures(5), 0, 0),
        (0, [], failures(-3600), 1, 10),
    ],
)
def test_the_back_off_doubles_from_the_last_success(old, succeeded, failed, count, wait):
    before = Backoff(failures=old, last=NOW - timedelta(hours=1)) if old else NEVER
    found = next_backoff(before, succeeded, failed)
    assert (found.failures, remaining(found, NOW).total_seconds()) == (count, wait)


def test_an_index_backs_off_by_its_own_failures():
    pod = make_pod("f", "Failed", index=0, seconds=0, failures=2)
    assert remaining_of_index(pod, NOW) == timedelta(seconds=40)
    assert remaining_of_index(None, NOW) == timedelta(0)


def exited(**codes):
    statuses = [{"name": n, "state": {"terminated": {"exitCode": c}}} for n, c in codes.items()]
    return {"metadata": {"name": "p", "namespace": "ns"},
            "status": {"containerStatuses": statuses,
                       "conditions": [{"type": "DisruptionTarget", "status": "True"}]}}  # fmt: skip


def on_codes(action, operator, *values, container=None):
    codes = {"operator": operator, "values": list(values)}
    return {"action": action, "onExitCodes": codes | ({"containerName": container} if container
                                                      else {})}  # fmt: skip


DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget",
                                                      "status": "True"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "pod", "action", "counts"),
    [
        ([], exited(a=1), "", True),
        ([on_codes("FailJob", "In", 3), DISRUPTED], exited(a=1), "Ignore", False),
        ([on_codes("FailJob", "NotIn", 3)], exited(a=1), "FailJob", True),
        ([on_codes("FailJob", "NotIn", 3)], exited(a=0), "", True),
        ([on_codes("FailIndex", "In", 1, container="b")], exited(a=1, b=2), "", True),
        ([on_codes("FailIndex", "In", 1, container="b")], exited(a=2, b=1), "FailIndex", True),
        ([on_codes("Count", "In", 1), DISRUPTED], exited(a=1), "Count", True),
    ],
)
def test_the_first_rule_that_matches_decides(rules, pod, action, counts):
    match = match_failure({"rules": rules}, pod)
    assert (match.action, match.counts) == (action, counts)


def test_a_rule_says_why_a_job_fails():
    rule = {**DISRUPTED, "action": "FailJob"}
    said = match_failure({"rules": [on_codes("Count", "In", 9), rule]}, exited(a=1)).job_fails
    assert said == "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 1"


@pytest.mark.parametrize(
    ("rule", "succeeded", "met"),
    [
        ({"succeededCount": 2}, "0,7", True),
        ({"succeededCount": 3}, "0,7", False),
        ({"succeededIndexes": "0-2"}, "0-2", True),
        ({"succeededIndexes": "0-2"}, "0-1,3-9", False),
        ({"succeededIndexes": "0-2", "succeededCount": 1}, "2-3", True),
        ({"succeededIndexes": "20-29"}, "0-9", False),
        ({"succeededCount": 0}, "", False),
    ],
)
def test_a_success_policy_is_met(rule, succeeded, met):
    found = match_success({"rules": [rule]}, 10, read_indexes(succeeded, 10))
    assert (found == "Matched rules at index 0") == met


@pytest.mark.parametrize(
    ("text", "completions", "back"),
    [
        ("", 5, ""),
        ("0,1,2", 5, "0-2"),
        ("1,2", 5, "1,2"),
        ("1,3-5,7", 9, "1,3-5,7"),
        ("1,3-5,7", 5, "1,3,4"),
        ("x,1,2-y", 5, "1"),
    ],
)
def test_indexes_are_read_and_written(text, completions, back):
    assert format_indexes(read_indexes(text, completions)) == back


def test_sets_of_indexes_are_sets():
    some, others = {0, 1, 5, 6, 9}, {1, 2, 6, 8}
    left, right = as_intervals(some), as_intervals(others)
    assert merge_indexes(left, right) == as_intervals(some | others)
    assert common_indexes(left, right) == len(some & others)
    assert count_indexes(left) == len(some)
    assert {i for i in range(12) if has_index(left, i)} == some
    assert free_indexes(left, 3, 12) == [2, 3, 4]
    assert free_indexes(left, 99, 12) == [2, 3, 4, 7, 8, 10, 11]
    assert free_indexes([], 2, 1) == [0]
    assert free_indexes(left, 99, 6) == [2, 3, 4]


def test_a_condition_keeps_its_time_while_it_says_the_same():
    old = {"type": "Suspended", "status": "True", "reason": "r", "lastTransitionTime": "then"}
    assert with_new_condition([old], {**old, "lastTransitionTime": "now"}) == [old]
    off = {**old, "status": "False", "lastTransitionTime": "now"}
    assert with_new_condition([old], off) == [off]
    assert with_new_condition([], off) == []
