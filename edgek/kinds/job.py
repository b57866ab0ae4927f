"""Job: pods that run until enough of them have succeeded.

Its pods carry labels with its name and uid, and its selector asks for the uid, so that no two
Jobs ever share a pod (As pkg/registry/batch/job/strategy.go generateSelector). With
``manualSelector`` that is left to the user.
"""

from collections.abc import Callable
from typing import Any

from edgek.api.conditions import is_true
from edgek.api.meta import Obj, get_path
from edgek.api.time import human_duration, parse_time
from edgek.api.validation import FieldErrors
from edgek.kinds.columns import TEMPLATE_COLUMNS
from edgek.kinds.job_status import validate_status, validate_status_update
from edgek.kinds.job_update import validate_job_update
from edgek.kinds.job_validation import (
    CONTROLLER_UID,
    JOB_NAME,
    OLD_CONTROLLER_UID,
    OLD_JOB_NAME,
    validate_job,
)
from edgek.kinds.kind import AGE, NAME, STATUS, Ago, Column, Kind, read_field
from edgek.kinds.pod_defaults import default_template
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default, steps

MAX_INT32 = 2**31 - 1
ENDS = ("Complete", "Failed")
STEPS = ("Suspended", "FailureTarget", "SuccessCriteriaMet")


def default_job_spec(spec: Obj) -> None:
    """What a Job and a CronJob's template have in common: pods and failure policy."""
    default_template(ensure(spec, "template"))
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            set_default(pattern, "status", "True")


def _default(job: Obj) -> None:
    spec = ensure(job, "spec")
    default_job_spec(spec)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    per_index = spec.get("backoffLimitPerIndex") is not None
    replaced = "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed"
    for field, value in (
        ("parallelism", 1),
        ("backoffLimit", MAX_INT32 if per_index else 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
        ("manualSelector", False),
        ("podReplacementPolicy", replaced),
    ):
        set_default(spec, field, value)


def _generate_selector(job: Obj, old: Obj | None) -> None:
    spec, meta = job.get("spec") or {}, job["metadata"]
    if old is not None or spec.get("manualSelector"):
        return
    name, uid = meta.get("name") or "", meta.get("uid") or ""
    labels = ensure(spec, "template", "metadata", "labels")
    for key, value in (
        (OLD_JOB_NAME, name), (JOB_NAME, name), (OLD_CONTROLLER_UID, uid), (CONTROLLER_UID, uid),
    ):  # fmt: skip
        labels.setdefault(key, value)
    ensure(spec, "selector", "matchLabels").setdefault(CONTROLLER_UID, uid)


def _label(job: Obj, old: Obj | None) -> None:
    """A Job without labels has its pods'. Upstream defaults so again on every read, thus the
    generated ones are among them."""
    labels = get_path(job, "spec", "template", "metadata", "labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def _validate(job: Obj, errors: FieldErrors) -> None:
    validate_job(job, errors)
    validate_status(job, errors)


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    validate_job_update(new, old, errors)
    validate_status_update(new, old, errors)


def _state(job: Obj) -> str:
    """The STATUS cell."""
    conditions = get_path(job, "status", "conditions")
    for kind in ENDS:
        if is_true(conditions, kind):
            return kind
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((kind for kind in STEPS if is_true(conditions, kind)), "Running")


def _completions(job: Obj) -> str:
    spec, done = job.get("spec") or {}, get_path(job, "status", "succeeded", default=0)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: Obj) -> Any:
    start, end = (get_path(job, "status", f) for f in ("startTime", "completionTime"))
    if not start:
        return ""
    return human_duration(parse_time(end) - parse_time(start)) if end else Ago(start)


def _column(name: str, read: Callable[[Obj], Any], description: str) -> Column:
    return Column(name=name, read=read, description=description)


def _read(job: Obj, path: str) -> str:
    """status.successful is what selectors call status.succeeded."""
    if path == "status.successful":
        return str(get_path(job, "status", "succeeded", default=0))
    return read_field(job, path)


JOB = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    categories=("all",),
    columns=(
        NAME,
        _column("Status", _state, "How far it is."),
        _column("Completions", _completions, "Succeeded pods of the desired ones."),
        _column("Duration", _duration, "How long it took, or has been taking."),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    subresources=(STATUS,),
    selectable=("status.successful",),
    read_field=_read,
    default=_default,
    prepare=steps(keep_status, _generate_selector, _label),
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    warn=warn_of_template("spec", "template"),
    generation=True,
    orphans=True,
    example={
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "pi", "namespace": "default"},
        "spec": {
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "pi",
                            "image": "docker.io/library/perl:5.40",
                            "command": ["perl", "-Mbignum=bpi", "-wle", "print bpi(100)"],
                        }
                    ],
                }
            }
        },
    },
)
