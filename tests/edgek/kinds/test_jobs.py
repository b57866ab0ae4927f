"""Mistakes in Jobs and CronJobs, told at their field in upstream's words."""

from collections.abc import Callable
from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import CRON_JOB, JOB
from edgek.kinds.kind import Kind
from tests.support.mistakes import problems

RULES = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 42]}}]}
DONE = [{"type": t, "status": "True"} for t in ("SuccessCriteriaMet", "Complete")]
ENDED = {
    "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z",
    "succeeded": 1, "conditions": DONE,
}  # fmt: skip
Change = Callable[[Obj], Any]


def made(kind: Kind = JOB, *changes: Change) -> Obj:
    obj = deep_copy(dict(kind.example))
    spec = obj["spec"] if kind == JOB else obj["spec"]["jobTemplate"]["spec"]
    for change in changes:
        change(spec)
    kind.default(obj)
    obj["metadata"]["uid"] = "u1"
    kind.prepare(obj, None)
    return obj


def indexed(**more: Any) -> Change:
    fields = {"completionMode": "Indexed", "completions": 3, "parallelism": 3, **more}
    return lambda spec: spec.update(fields)


def with_(**fields: Any) -> Change:
    return lambda spec: spec.update(fields)


def test_a_job_owns_its_pods_by_its_uid() -> None:
    job = made()
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}}
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "job-name": "pi", "batch.kubernetes.io/job-name": "pi",
        "controller-uid": "u1", "batch.kubernetes.io/controller-uid": "u1",
    }  # fmt: skip
    assert job["metadata"]["labels"] == labels


def test_a_manual_selector_is_left_alone() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": JOB.example["spec"]["template"]["spec"]}
    selector = {"matchLabels": {"a": "b"}}
    job = made(JOB, with_(manualSelector=True, selector=selector, template=deep_copy(template)))
    assert job["spec"]["selector"] == selector
    assert problems(JOB, job) == []
    job = made(JOB, with_(selector=selector, template=deep_copy(template)))
    assert "`selector` not auto-generated" in problems(JOB, job)[0]


@pytest.mark.parametrize(
    ("changes", "defaults"),
    [
        ((), {"completions": 1, "parallelism": 1, "backoffLimit": 6, "suspend": False,
              "podReplacementPolicy": "TerminatingOrFailed", "completionMode": "NonIndexed"}),
        ((with_(parallelism=2),), {"completions": None, "parallelism": 2}),
        ((indexed(backoffLimitPerIndex=1),), {"backoffLimit": 2**31 - 1}),
        ((with_(podFailurePolicy=deep_copy(RULES)),), {"podReplacementPolicy": "Failed"}),
    ],
)  # fmt: skip
def test_defaults(changes: tuple[Change, ...], defaults: Obj) -> None:
    spec = made(JOB, *changes)["spec"]
    assert {field: spec.get(field) for field in defaults} == defaults


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s["template"]["spec"].pop("restartPolicy"),
         'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
        (with_(parallelism=-1), "spec.parallelism: Invalid value: -1: must be greater than or"),
        (with_(completionMode="Some"), 'Unsupported value: "Some": supported values: "Indexed"'),
        (with_(backoffLimitPerIndex=1), "backoffLimitPerIndex: Invalid value: 1: requires indexed"),
        (indexed(completions=None), "spec.completions: Required value: when completion mode is In"),
        (indexed(parallelism=100_001, completions=100_001),
         "must be less than or equal to 100000 when completion mode is Indexed"),
        (indexed(maxFailedIndexes=1), "Required value: when maxFailedIndexes is specified"),
        (indexed(maxFailedIndexes=4, backoffLimitPerIndex=1), "less than or equal to completions"),
        (indexed(completions=100_001, parallelism=10_001, backoffLimitPerIndex=1),
         "maxFailedIndexes: Required value: must be specified when completions is above 100000"),
        (indexed(completions=100_001, parallelism=10_001, backoffLimitPerIndex=1),
         "must be less than or equal to 10000 when completions are above 100000 and used with"),
        (with_(managedBy="me"), 'must be a domain-prefixed path (such as "acme.io/foo")'),
        (with_(managedBy="A_b.io/foo"), 'spec.managedBy: Invalid value: "A_b.io": a lowercase RFC'),
        (with_(managedBy="a.io/" + "x" * 63), "managedBy: Too long: may not be more than 63 bytes"),
        (with_(successPolicy={"rules": []}), "requires indexed completion mode"),
        (indexed(successPolicy={"rules": []}), "at least one rules must be specified"),
        (indexed(successPolicy={"rules": [{}]}), "at least one of succeededCount or succeededInd"),
        (indexed(successPolicy={"rules": [{"succeededCount": 4}]}),
         "must be less than or equal to 3 (the number of specified completions)"),
        (indexed(successPolicy={"rules": [{"succeededIndexes": "0,2", "succeededCount": 3}]}),
         "less than or equal to 2 (the number of indexes in the specified succeededIndexes field)"),
        (indexed(successPolicy={"rules": [{"succeededIndexes": "2,0"}]}),
         "error parsing succeededIndexes: non-increasing order, previous: 2, current: 0"),
        (indexed(successPolicy={"rules": [{"succeededIndexes": "7"}]}), 'too large index: "7"'),
        (indexed(successPolicy={"rules": [{"succeededIndexes": "0-1-2"}]}),
         'the fragment "0-1-2" violates the requirement that an index interval can have at most'),
        (with_(podReplacementPolicy="Never"), 'supported values: "Failed", "TerminatingOrFailed"'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_field(change: Change, sentence: str) -> None:
    told = problems(JOB, made(JOB, change))
    assert any(sentence in text for text in told), told


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({}, 'action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'),
        ({"action": "Stop"}, 'rules[0].action: Unsupported value: "Stop"'),
        ({"action": "FailIndex"}, "requires the backoffLimitPerIndex to be set"),
        ({"action": "Count"}, "rules[0]: Invalid value: specifying one of OnExitCodes and OnPod"),
        ({"action": "Count", "onExitCodes": {"operator": "In", "values": [1]},
          "onPodConditions": [{"type": "X"}]}, "specifying both OnExitCodes and OnPodCond"),
        ({"onExitCodes": {"operator": "In", "values": [0]}}, "must not be 0 for the In operator"),
        ({"onExitCodes": {"operator": "In", "values": [2, 1]}}, "[2,1]: must be ordered"),
        ({"onExitCodes": {"operator": "In", "values": [1, 1]}}, "values[1]: Duplicate value: 1"),
        ({"onExitCodes": {"operator": "In"}}, "at least one value is required"),
        ({"onExitCodes": {"values": [1]}}, 'Required value: valid values: ["In" "NotIn"]'),
        ({"onExitCodes": {"containerName": "x", "operator": "In", "values": [1]}},
         "must be one of the container or initContainer names in the pod template"),
        ({"onPodConditions": [{"type": "X", "status": "Maybe"}]}, "status: Unsupported value: "),
    ],
)  # fmt: skip
def test_failure_policies_are_checked(rule: Obj, sentence: str) -> None:
    told = problems(JOB, made(JOB, with_(podFailurePolicy={"rules": [rule]})))
    assert any(sentence in text for text in told), told


def test_a_failure_policy_needs_pods_that_end() -> None:
    job = made(JOB, with_(podFailurePolicy=deep_copy(RULES)))
    assert problems(JOB, job) == []
    job["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    assert 'only "Never" is supported when podFailurePolicy is specified' in problems(JOB, job)[0]


def test_hostnames_of_indexed_pods_fit() -> None:
    job = made(JOB, indexed())
    job["metadata"]["name"] = "x" * 62
    assert any(
        "will not able to create pod with invalid DNS label" in p for p in problems(JOB, job)
    )


def test_a_running_jobs_template_stays() -> None:
    old = made()
    new = deep_copy(old)
    new["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}
    assert any("spec.template: Invalid value" in p for p in problems(JOB, new, old))


@pytest.mark.parametrize(
    ("change", "may"),
    [
        (lambda pod: pod.update(nodeSelector={"a": "b"}), True),
        (lambda pod: pod.update(tolerations=[{"operator": "Exists"}]), True),
        (lambda pod: pod["containers"][0].update(resources={"requests": {"cpu": "1"}}), True),
        (lambda pod: pod["containers"][0].update(image="other"), False),
        (lambda pod: pod.update(affinity={"podAffinity": {"x": 1}}), False),
        (lambda pod: pod.update(affinity={"nodeAffinity": {}}), True),
    ],
)
def test_a_queue_places_a_suspended_job(change: Change, may: bool) -> None:
    old = made(JOB, with_(suspend=True))
    new = deep_copy(old)
    change(new["spec"]["template"]["spec"])
    errors = FieldErrors()
    JOB.validate_update(new, old, errors)
    assert bool(errors) != may
    old["status"] = {"startTime": "2026-01-01T00:00:00Z"}
    errors = FieldErrors()
    JOB.validate_update(new, old, errors)
    assert errors, "it has run, and its pods may still be there"
    old["status"]["conditions"] = [{"type": "Suspended", "status": "True"}]
    errors = FieldErrors()
    JOB.validate_update(new, old, errors)
    assert bool(errors) != may


def test_an_indexed_job_is_elastic() -> None:
    old = made(JOB, indexed())
    new = deep_copy(old)
    new["spec"] |= {"completions": 5, "parallelism": 5}
    assert problems(JOB, new, old) == []
    new["spec"]["parallelism"] = 4
    assert "can only be modified in tandem with spec.parallelism" in problems(JOB, new, old)[0]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"active": -1}, "status.active: Invalid value: -1: must be greater than or equal to 0"),
        ({"completionTime": "2026-01-01T00:00:00Z"}, "there is no Complete=True condition"),
        ({"ready": 1}, "cannot set more ready pods than active"),
        ({"completedIndexes": "0"}, "cannot set non-empty completedIndexes when non-indexed"),
        ({"failedIndexes": "0"}, "cannot set non-null failedIndexes when backoffLimitPerIndex is"),
        ({**ENDED, "active": 1}, "active>0 is invalid for finished job"),
        ({**ENDED, "startTime": None}, "startTime is required for finished job"),
        ({**ENDED, "completionTime": None}, "completionTime is required for Complete jobs"),
        ({**ENDED, "completionTime": "2025-01-01T00:00:00Z"}, "cannot be set before startTime"),
        ({**ENDED, "uncountedTerminatedPods": {"failed": ["a"]}}, "needs to be empty for finished"),
        ({**ENDED, "conditions": DONE[1:]}, "without the SuccessCriteriaMet=true condition"),
        ({"uncountedTerminatedPods": {"failed": ["a", ""], "succeeded": ["a"]}},
         'uncountedTerminatedPods.failed[0]: Duplicate value: "a"'),
        ({"conditions": [*DONE, {"type": "Failed", "status": "True"}]},
         "cannot set Complete=True and Failed=true conditions"),
    ],
)  # fmt: skip
def test_a_status_may_not_contradict_itself(status: Obj, sentence: str) -> None:
    old = made()
    told = problems(JOB, {**old, "status": status}, old)
    assert any(sentence in text for text in told), told


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({}, "cannot disable the terminal Complete=True condition"),
        ({**ENDED, "succeeded": 0}, "cannot decrease the succeeded counter"),
        ({**ENDED, "completionTime": "2026-01-01T00:02:00Z"}, "completionTime cannot be mutated"),
        ({**ENDED, "startTime": "2026-01-01T00:00:30Z"}, "field is immutable for unsuspended job"),
    ],
)
def test_a_status_does_not_go_back(status: Obj, sentence: str) -> None:
    old = {**made(), "status": ENDED}
    assert problems(JOB, old, old) == []
    told = problems(JOB, {**old, "status": status}, old)
    assert any(sentence in text for text in told), told


def test_a_job_that_is_resumed_starts_anew() -> None:
    stopped = [{"type": "Suspended", "status": "True"}]
    old = {**made(), "status": {"startTime": "2026-01-01T00:00:00Z", "conditions": stopped}}
    later = {"startTime": "2026-01-01T01:00:00Z", "conditions": stopped}
    assert "is immutable" in problems(JOB, {**old, "status": later}, old)[0]
    running = [{"type": "Suspended", "status": "False"}]
    assert problems(JOB, {**old, "status": {**later, "conditions": running}}, old) == []


def test_a_status_that_only_the_spec_made_wrong_can_be_left() -> None:
    old = made(JOB, indexed())
    old["status"] = {"completedIndexes": "0-2"}
    smaller = deep_copy(old)
    smaller["spec"] |= {"completions": 1, "parallelism": 1}
    assert problems(JOB, smaller, old) == []
    worse = {**smaller, "status": {"completedIndexes": "0-1"}}
    assert "error parsing completedIndexes" in problems(JOB, worse, smaller)[0]


def test_no_index_is_both_done_and_failed() -> None:
    old = made(JOB, indexed(backoffLimitPerIndex=1))
    new = {**old, "status": {"completedIndexes": "0,2", "failedIndexes": "1-2"}}
    assert "failedIndexes and completedIndexes overlap at index: 2" in problems(JOB, new, old)[0]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"schedule": ""}, "spec.schedule: Required value"),
        ({"schedule": "x"}, "spec.schedule: Invalid value: \"x\": expected exactly 5 fields"),
        ({"schedule": "TZ=UTC * * * * *"}, "cannot use TZ or CRON_TZ in schedule, use timeZone"),
        ({"timeZone": ""}, "timeZone must be nil or non-empty string"),
        ({"timeZone": "Nowhere/City"}, "unknown time zone Nowhere/City"),
        ({"timeZone": "../etc/passwd"}, "unknown time zone ../etc/passwd"),
        ({"timeZone": "Europe"}, "unknown time zone Europe"),
        ({"timeZone": "local"}, "timeZone must be an explicit time zone as defined in https://www"),
        ({"concurrencyPolicy": "Wait"}, 'supported values: "Allow", "Forbid", "Replace"'),
        ({"failedJobsHistoryLimit": -1}, "failedJobsHistoryLimit: Invalid value: -1: must be gre"),
    ],
)  # fmt: skip
def test_a_cron_jobs_mistakes(fields: Obj, sentence: str) -> None:
    cron = made(CRON_JOB)
    cron["spec"] |= fields
    told = problems(CRON_JOB, cron)
    assert any(sentence in text for text in told), told


def test_a_cron_jobs_jobs_get_their_selectors_and_names_later() -> None:
    cron = made(CRON_JOB, with_(selector={"matchLabels": {"a": "b"}}, manualSelector=True))
    told = "; ".join(problems(CRON_JOB, cron))
    assert "spec.jobTemplate.spec.selector: Invalid value" in told
    assert "`selector` will be auto-generated" in told
    assert 'manualSelector: Unsupported value: true: supported values: "false", "nil"' in told
    cron = made(CRON_JOB)
    cron["metadata"]["name"] = "x" * 53
    assert "must be no more than 52 characters" in problems(CRON_JOB, cron)[0]


@pytest.mark.parametrize(
    ("job", "cells"),
    [
        ({}, ["Running", "0/1", ""]),
        ({"status": ENDED}, ["Complete", "1/1", "60s"]),
        ({"status": {"conditions": [{"type": "Failed", "status": "True"}]}}, ["Failed", "0/1", ""]),
        ({"status": {"conditions": [{"type": "Suspended", "status": "True"}]}},
         ["Suspended", "0/1", ""]),
        ({"spec": {"parallelism": 3}}, ["Running", "0/1 of 3", ""]),
    ],
)  # fmt: skip
def test_a_jobs_row(job: Obj, cells: list[str]) -> None:
    obj = {**made(), **job}
    columns = {c.name: c.read(obj) for c in JOB.columns}
    assert [columns[name] for name in ("Status", "Completions", "Duration")] == cells
