"""CronJob: makes a Job each time its schedule says so."""

import re
from typing import Any

from edgek.api.cron import parse_schedule
from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum, check_numbers
from edgek.kinds.columns import NONE, count_column, format_label_selector, template_columns
from edgek.kinds.job import default_job_spec
from edgek.kinds.job_validation import validate_job_spec
from edgek.kinds.kind import AGE, NAME, STATUS, Ago, Column, Kind
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default

SPEC = FieldPath("spec")
JOB_TEMPLATE = SPEC.child("jobTemplate", "spec")
LONGEST_NAME = 52
"""A Job's name is at most 63 characters, eleven of which are the time it is for."""
POLICIES = ("Allow", "Forbid", "Replace")
NUMBERS = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
DEFAULTS = (
    ("concurrencyPolicy", "Allow"),
    ("suspend", False),
    ("successfulJobsHistoryLimit", 3),
    ("failedJobsHistoryLimit", 1),
)
ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


def _default(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    for field, value in DEFAULTS:
        set_default(spec, field, value)
    default_job_spec(ensure(spec, "jobTemplate", "spec"))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    if len(name) > LONGEST_NAME:
        text = f"must be no more than {LONGEST_NAME} characters"
        errors.invalid(FieldPath("metadata.name"), name, text)
    _validate_schedule(spec.get("schedule") or "", errors)
    if spec.get("timeZone") is not None:
        validate_time_zone(spec["timeZone"], SPEC.child("timeZone"), errors)
    check_numbers(spec, NUMBERS, SPEC, errors)
    check_enum(spec.get("concurrencyPolicy"), POLICIES, SPEC.child("concurrencyPolicy"), errors)
    job = get_path(spec, "jobTemplate", "spec", default={})
    validate_job_spec(job, JOB_TEMPLATE, errors)
    if job.get("selector") is not None:
        text = "`selector` will be auto-generated"
        errors.invalid(JOB_TEMPLATE.child("selector"), job["selector"], text)
    if job.get("manualSelector"):
        errors.not_supported(JOB_TEMPLATE.child("manualSelector"), True, ("nil", "false"))


def _validate_schedule(schedule: str, errors: FieldErrors) -> None:
    path = SPEC.child("schedule")
    if not schedule:
        errors.required(path)
        return
    try:
        parse_schedule(schedule)
    except ValueError as problem:
        errors.invalid(path, schedule, str(problem))
    if "TZ" in schedule:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        errors.invalid(path, schedule, text)


def validate_time_zone(name: str, path: FieldPath, errors: FieldErrors) -> None:
    """A zone of the time zone database; nothing that reads another file."""
    parts = name.split("/")
    if not name:
        errors.invalid(path, name, "timeZone must be nil or non-empty string")
    elif not all(ZONE_PART.fullmatch(p) and p not in (".", "..") and p[0] != "-" for p in parts):
        errors.invalid(path, name, f"unknown time zone {name}")
    elif name.lower() == "local":
        text = (
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        )
        errors.invalid(path, name, text)
    elif not _is_zone(name):
        errors.invalid(path, name, f"unknown time zone {name}")


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False  # a ZoneInfoNotFoundError is a LookupError; a directory is an OSError
    return True


def _last_schedule(obj: Obj) -> Any:
    last = get_path(obj, "status", "lastScheduleTime")
    return Ago(last) if last else NONE


def _suspend(obj: Obj) -> str:
    value = get_path(obj, "spec", "suspend")
    return "<unset>" if value is None else str(value)


def _selector(obj: Obj) -> str:
    return format_label_selector(get_path(obj, "spec", "jobTemplate", "spec", "selector"))


CRON_JOB = Kind(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    short_names=("cj",),
    categories=("all",),
    columns=(
        NAME,
        Column(
            name="Schedule",
            read=lambda obj: get_path(obj, "spec", "schedule", default=""),
            description="When Jobs are made, in cron's form.",
        ),
        Column(
            name="Timezone",
            read=lambda obj: get_path(obj, "spec", "timeZone", default=NONE),
            description="Whose time the schedule means.",
        ),
        Column(
            name="Suspend", read=_suspend, type="boolean", description="Whether it is suspended."
        ),
        count_column("Active", "status", "active", description="How many of its Jobs run."),
        Column(name="Last Schedule", read=_last_schedule, description="When it last made a Job."),
        AGE,
        *template_columns("spec", "jobTemplate", "spec", "template", selector=_selector),
    ),
    subresources=(STATUS,),
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    warn=warn_of_template("spec", "jobTemplate", "spec", "template"),
    generation=True,
    example={
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "backup", "namespace": "default"},
        "spec": {
            "schedule": "30 2 * * *",
            "timeZone": "Europe/Vienna",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {
                            "restartPolicy": "OnFailure",
                            "containers": [
                                {
                                    "name": "backup",
                                    "image": "docker.io/library/alpine:3",
                                    "command": ["/bin/backup"],
                                }
                            ],
                        }
                    }
                }
            },
        },
    },
)
