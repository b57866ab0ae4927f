"""CronJobs on virtual time, which begins on 2026-01-01 at midnight UTC."""

from datetime import UTC, datetime, timedelta

import pytest

from edgek.api.cron import parse_schedule
from edgek.api.errors import Forbidden
from edgek.api.time import format_time
from edgek.kinds import CRON_JOB, EVENT, JOB
from server.controllers.cronjob import CronJobController
from server.controllers.cronjob_plan import (
    SCHEDULED_AT,
    Timing,
    job_from_template,
    job_name,
    moment_of,
    plan_due,
    plan_history,
)
from tests.support.loops import running
from tests.support.memory_api import MemoryApi, dies_at, fail

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def build(context):
    return CronJobController(context, UTC)


def make_cron_job(schedule="*/10 * * * *", status=None, **spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Allow",
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": template,
            **spec,
        },
        "status": status or {},
    }


def at(minutes):
    return format_time(MIDNIGHT + timedelta(minutes=minutes))


class World:
    """The CronJob ``c`` and its Jobs."""

    def __init__(self, loops):
        self.loops, self.api = loops, loops.api

    @property
    def status(self):
        return self.api.one(CRON_JOB, "ns", "c")["status"]

    def jobs(self):
        """The minutes since midnight that each is for."""
        start = int(MIDNIGHT.timestamp()) // 60
        names = [job["metadata"]["name"] for job in self.api.all(JOB)]
        return sorted(int(name.removeprefix("c-")) - start for name in names)

    def active(self):
        start = int(MIDNIGHT.timestamp()) // 60
        return [int(ref["name"].removeprefix("c-")) - start for ref in self.status["active"]]

    def job(self, minute):
        name = f"c-{int(MIDNIGHT.timestamp()) // 60 + minute}"
        return self.api.one(JOB, "ns", name)

    async def end(self, minute, end="Complete"):
        now = format_time(self.loops.context.clock.now())
        status = {"conditions": [{"type": end, "status": "True"}], "startTime": at(minute)}
        status |= {"completionTime": now} if end == "Complete" else {}
        self.api.put(JOB, {**self.job(minute), "status": status})
        await self.loops.settle(1)

    def change(self, **spec):
        old = self.api.one(CRON_JOB, "ns", "c")
        self.api.put(CRON_JOB, {**old, "spec": {**old["spec"], **spec}})

    async def minutes(self, number):
        await self.loops.settle(number * 60)


@pytest.fixture
def api():
    return MemoryApi()


@pytest.fixture
async def start(api):
    stack = []

    async def begin(*args, **spec):
        api.put(CRON_JOB, make_cron_job(*args, **spec))
        stack.append(running(api, build))
        world = World(await stack[-1].__aenter__())
        world.loops.context.clock.now()  # it begins when it is first asked
        return world

    yield begin
    for runner in stack:
        await runner.__aexit__(None, None, None)


@pytest.mark.looptime
async def test_each_moment_makes_a_job(start):
    w = await start()
    await w.minutes(9)
    assert w.jobs() == []
    await w.minutes(12)
    assert w.jobs() == w.active() == [10, 20]
    assert w.status["lastScheduleTime"] == at(20)
    job = w.job(10)
    assert job["metadata"]["labels"] == {"a": "b"}
    assert job["metadata"]["annotations"] == {SCHEDULED_AT: "2026-01-01T00:10:00Z"}
    assert job["metadata"]["ownerReferences"][0]["controller"] is True
    await w.end(10)
    assert w.active() == [20]
    assert w.status["lastSuccessfulTime"] == job["metadata"].get(
        "x", w.status["lastSuccessfulTime"]
    )
    name = job["metadata"]["name"]
    assert w.loops.events("SawCompletedJob") == [
        f"SawCompletedJob: Saw completed job: {name}, condition: Complete"
    ]
    assert w.loops.events("SuccessfulCreate")[0] == f"SuccessfulCreate: Created job {name}"


@pytest.mark.looptime
async def test_between_its_moments_nothing_happens(start, api):
    w = await start("0 0 * * *")
    await w.minutes(1)
    api.calls.clear()
    await w.minutes(23 * 60)
    assert api.calls == []


@pytest.mark.looptime
async def test_forbid_waits_for_the_job_that_runs(start):
    w = await start(concurrencyPolicy="Forbid")
    await w.minutes(35)
    assert w.jobs() == [10]
    said = (
        "JobAlreadyActive: Not starting job because prior execution is running and concurrency "
        "policy is Forbid"
    )
    assert set(w.loops.events("JobAlreadyActive")) == {said}
    await w.end(10)  # the last of those that were missed is made up for
    assert w.jobs() == [10, 30]
    assert w.active() == [30]


@pytest.mark.looptime
async def test_replace_deletes_the_job_that_runs(start):
    w = await start(concurrencyPolicy="Replace")
    first_name = f"c-{int(MIDNIGHT.timestamp()) // 60 + 10}"
    await w.minutes(25)
    assert w.jobs() == w.active() == [20]
    assert w.loops.events("SuccessfulDelete") == [f"SuccessfulDelete: Deleted job {first_name}"]


@pytest.mark.looptime
async def test_a_suspended_one_makes_none_and_then_only_the_last(start):
    w = await start(suspend=True)
    await w.minutes(45)
    assert w.jobs() == []
    w.change(suspend=False)
    await w.minutes(1)
    assert w.jobs() == [40]


@pytest.mark.looptime
async def test_what_was_missed_too_long_ago_is_said_and_left(start):
    w = await start(suspend=True, startingDeadlineSeconds=120)
    await w.minutes(45)
    w.change(suspend=False)
    await w.minutes(2)
    assert w.jobs() == []
    assert w.loops.events("MissSchedule") == [
        "MissSchedule: Missed scheduled time to start a job: Thu, 01 Jan 2026 00:40:00 +0000"
    ]
    await w.minutes(4)
    assert w.jobs() == [50]


@pytest.mark.looptime
async def test_a_new_schedule_makes_up_for_nothing(start):
    w = await start("0 12 * * *")
    await w.minutes(60)
    w.change(schedule="30 0 * * *")
    await w.minutes(5)
    assert w.jobs() == []
    w.change(schedule="10 1 * * *")
    await w.minutes(10)
    assert w.jobs() == [70]


@pytest.mark.looptime
async def test_only_so_many_finished_jobs_are_kept(start):
    w = await start(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=0)
    await w.minutes(52)
    for minute in (10, 20, 30, 50):
        await w.end(minute)
    await w.end(40, "Failed")
    assert w.jobs() == [30, 50]
    assert "active" not in w.status
    assert len(w.loops.events("SuccessfulDelete")) == 3


@pytest.mark.looptime
async def test_a_job_that_went_missing_is_taken_from_the_active_ones(start, api):
    w = await start()
    await w.minutes(11)
    name = w.job(10)["metadata"]["name"]
    api.remove(JOB, "ns", name)
    await w.minutes(1)
    assert "active" not in w.status
    assert w.loops.events("MissingJob") == [f"MissingJob: Active job went missing: {name}"]
    assert w.jobs() == []


@pytest.mark.looptime
async def test_a_job_that_is_refused_is_tried_again(start, api):
    api.before.append(fail("POST", "jobs", Forbidden("no quota"), times=2))
    w = await start()
    await w.minutes(12)
    assert w.jobs() == [10]
    assert w.loops.events("FailedCreate") == ["FailedCreate: Error creating job: no quota"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"schedule": "nonsense"},
         'UnparseableSchedule: unparseable schedule: "nonsense" : expected exactly 5 fields, '
         "found 1: [nonsense]"),
        ({"schedule": "0 0 31 2 *"},
         "InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules "
         "is less than 1 second"),
        ({"timeZone": "Mars/Base"},
         'UnknownTimeZone: invalid timeZone: "Mars/Base": unknown time zone Mars/Base'),
    ],
)  # fmt: skip
async def test_what_can_not_be_kept_is_said_once(start, spec, said):
    w = await start(**spec)
    await w.minutes(60)
    w.change(suspend=None)
    await w.minutes(60)
    assert w.loops.events() == [said]
    assert w.jobs() == []


@pytest.mark.looptime
async def test_a_time_zone_is_that_of_the_spec_or_of_the_schedule(start):
    w = await start("30 3 * * *", timeZone="Asia/Kolkata")
    await w.minutes(22 * 60 + 1)
    assert w.jobs() == [22 * 60]
    made = w.job(22 * 60)["metadata"]["annotations"]
    assert made == {SCHEDULED_AT: "2026-01-02T03:30:00+05:30"}
    w.change(schedule="TZ=Asia/Tokyo 30 9 * * *", timeZone=None)
    await w.minutes(150)
    assert w.jobs() == [22 * 60, 24 * 60 + 30]
    assert w.loops.events("UnsupportedSchedule")


@pytest.mark.looptime
async def test_a_clock_put_forward_makes_one_job_and_put_back_none(start, api):
    w = await start("*/5 * * * *")
    await w.minutes(7)
    w.loops.context.clock.advance(12 * 3600)
    await w.minutes(5)  # the timer for 00:10 finds that it is 12:10 by now
    assert w.jobs() == [5, 730]
    assert len(w.loops.events("TooManyMissedTimes")) == 1
    w.loops.context.clock.advance(-6 * 3600)
    api.calls.clear()
    await w.minutes(5 * 60)
    assert w.jobs() == [5, 730]
    assert api.calls == []
    await w.minutes(70)
    assert w.jobs()[2] == 735


@pytest.mark.looptime
async def test_a_clock_put_forward_is_noticed_within_the_hour(start):
    w = await start("0 12 * * *")
    await w.minutes(10)
    w.loops.context.clock.advance(11.7 * 3600)
    await w.minutes(55)
    assert w.jobs() == [12 * 60]


@pytest.mark.looptime
async def test_a_job_that_the_status_forgot_counts(start, api):
    made = make_cron_job(concurrencyPolicy="Forbid")
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": "u",
             "controller": True}  # fmt: skip
    minute = int(MIDNIGHT.timestamp()) // 60 - 10
    meta = {"name": f"c-{minute}", "namespace": "ns", "ownerReferences": [owner]}
    api.put(JOB, {"metadata": meta, "spec": {}})
    made["metadata"] |= {"uid": "u", "creationTimestamp": "2025-12-31T00:00:00Z"}
    api.put(CRON_JOB, made)
    async with running(api, build) as loops:
        w = World(loops)
        await w.minutes(30)
        assert w.jobs() == w.active() == [-10]
        assert w.status["lastScheduleTime"] == at(-10)
        assert len(loops.events("UnexpectedJob")) == 0


@pytest.mark.looptime
async def test_a_foreign_job_is_spoken_of(start, api):
    w = await start()
    uid = api.one(CRON_JOB, "ns", "c")["metadata"]["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": uid,
             "controller": True}  # fmt: skip
    meta = {"name": "mine", "namespace": "ns", "ownerReferences": [owner]}
    api.put(JOB, {"metadata": meta, "spec": {}})
    await w.minutes(1)
    said = "UnexpectedJob: Saw a job that the controller did not create or forgot: mine"
    assert w.loops.events() == [said]
    assert w.status == {}


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize(
    ("policy", "expected"), [("Allow", [-10, 0]), ("Forbid", [-10]), ("Replace", [0])]
)
async def test_a_moment_is_kept_once_wherever_that_was_cut(api, policy, expected, number, when):
    """One Job runs, of which the status does not know, and the next moment has come."""
    made = make_cron_job(concurrencyPolicy=policy)
    made["metadata"] |= {"uid": "u", "creationTimestamp": "2025-12-31T23:45:00Z"}
    api.put(CRON_JOB, made)
    running_job = job_from_template(made, MIDNIGHT - timedelta(minutes=10), None)
    await api.client.create(JOB, running_job)
    hooks = api.before if when == "before" else api.after
    hooks.append(dies_at(number))
    async with running(api, build):
        pass
    hooks.clear()
    most = []
    api.before.append(lambda call: most.append(len(api.all(JOB))))
    async with running(api, build) as loops:
        w = World(loops)
        await loops.settle(60)
        assert w.jobs() == sorted(w.active()) == expected
        assert max(most) <= 2
        assert w.status["lastScheduleTime"] == at(max(expected))
        names = [ref["name"] for ref in w.status["active"]]
        assert len(names) == len(set(names))


@pytest.mark.looptime
async def test_a_cache_that_lags_behind_makes_no_second_job(api):
    api.put(CRON_JOB, make_cron_job())
    async with running(api, build) as loops:
        w = World(loops)
        loops.context.clock.now()
        api.held |= {CRON_JOB, JOB}
        await w.minutes(12)
        api.held.discard(CRON_JOB)
        api.release(JOB)
        await w.minutes(1)
        assert w.jobs() == w.active() == [10]
        assert len(loops.events("SuccessfulCreate")) == 1


@pytest.mark.looptime
async def test_an_end_is_told_once_though_the_cache_shows_the_status_before_it(start, api):
    w = await start()
    await w.minutes(21)
    hold = lambda call: api.held.add(CRON_JOB) if "cronjobs/c/status" in call.path else None  # noqa: E731
    api.after.append(hold)
    await w.end(10)
    await w.end(20)  # looked at with a status from before the first end
    api.after.clear()
    api.release(CRON_JOB)
    await w.minutes(1)
    assert "active" not in w.status
    told = [e for e in api.all(EVENT) if e["reason"] == "SawCompletedJob"]
    assert [e["count"] for e in told] == [1, 1]


def due(schedule, now, last=0, **spec):
    cron_job = make_cron_job(schedule, **spec)
    timing = Timing(schedule=parse_schedule(schedule), zone=UTC)
    start = MIDNIGHT + timedelta(minutes=last)
    found = plan_due(cron_job, timing, start, MIDNIGHT + timedelta(minutes=now))
    minutes = [m and (m - MIDNIGHT) / timedelta(minutes=1) for m in (found.at, found.missed)]
    return (*minutes, found.many)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (due("*/10 * * * *", 9), (None, None, False)),
        (due("*/10 * * * *", 10), (10, None, False)),
        (due("*/10 * * * *", 10, last=10), (None, None, False)),
        (due("*/10 * * * *", 999), (990, None, False)),
        (due("*/10 * * * *", 1010), (1010, None, True)),
        (due("*/10 * * * *", 5, last=60), (None, None, False)),
        (due("* 0 * * *", 600), (59, None, True)),
        (due("@every 7m", 100), (98, None, False)),
        (due("*/10 * * * *", 45, startingDeadlineSeconds=600), (40, None, False)),
        (due("*/10 * * * *", 45, startingDeadlineSeconds=200), (None, 40, False)),
        (due("*/10 * * * *", 45, startingDeadlineSeconds=0), (None, 40, False)),
        (due("*/10 * * * *", 45, startingDeadlineSeconds=2**63 - 1), (40, None, False)),
    ],
)
def test_the_last_missed_moment_is_due(found, expected):
    assert found == expected


def test_a_job_tells_the_moment_it_is_for():
    cron_job = make_cron_job()
    for moment in (MIDNIGHT, MIDNIGHT + timedelta(minutes=7, seconds=20)):
        job = job_from_template({**cron_job, "metadata": {**cron_job["metadata"], "uid": "u"}},
                                moment, None)  # fmt: skip
        assert job["metadata"]["name"] == job_name(cron_job, moment)
        assert moment_of(cron_job, job) == moment
    for name in ("c-x", "c", "d-29000000", "c-" + "9" * 10, "c-" + "9" * 5000):
        assert moment_of(cron_job, {"metadata": {"name": name}}) is None
    job["metadata"]["annotations"] = {SCHEDULED_AT: "yesterday"}
    assert moment_of(cron_job, job) == MIDNIGHT + timedelta(minutes=7)


def test_history_goes_oldest_first_and_what_runs_stays():
    def job(name, end, start):
        conditions = [{"type": end, "status": "True"}] if end else []
        status = {"conditions": conditions} | ({"startTime": start} if start else {})
        return {"metadata": {"name": name}, "status": status}

    jobs = [
        job("new", "Complete", "2026-01-03T00:00:00Z"), job("old", "Complete",
        "2026-01-01T00:00:00Z"), job("never", "Failed", ""), job("bad", "Failed",
        "2026-01-02T00:00:00Z"), job("runs", "", "2025-01-01T00:00:00Z"),
    ]  # fmt: skip
    spec = {"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1}
    gone = plan_history({"spec": spec}, jobs)
    assert [g["metadata"]["name"] for g in gone] == ["old", "bad"]
    assert plan_history({"spec": {}}, jobs) == []
