"""Validation of a Job's status (upstream: ValidateJobStatus, ValidateJobStatusUpdate).

Jobs may be controlled by others (managedBy), so their clients are protected from a status that
contradicts itself or goes back. A rule about fields that did not change is not applied: a
change of the spec may break it until the controller comes.
"""

from datetime import datetime

from edgek.api.conditions import is_true
from edgek.api.meta import Obj
from edgek.api.time import parse_time
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_numbers
from edgek.kinds.job_indexes import first_overlap, parse_indexes

STATUS = FieldPath("status")
CONDITIONS = STATUS.child("conditions")
COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
COMPLETE, FAILED = "Complete", "Failed"
SUCCESS, FAILURE = "SuccessCriteriaMet", "FailureTarget"


class _View:
    """One state of a Job, as the rules ask for it."""

    def __init__(self, job: Obj) -> None:
        self.spec: Obj = job.get("spec") or {}
        self.status: Obj = job.get("status") or {}

    def has(self, condition: str) -> bool:
        return is_true(self.status.get("conditions"), condition)

    @property
    def is_finished(self) -> bool:
        return self.has(COMPLETE) or self.has(FAILED)

    def uncounted(self) -> Obj:
        found: Obj = self.status.get("uncountedTerminatedPods") or {}
        return {k: v for k, v in found.items() if v}

    def time(self, field: str) -> datetime | None:
        text = self.status.get(field)
        return parse_time(text) if text else None


def validate_status(job: Obj, errors: FieldErrors) -> None:
    """What holds whatever was there before."""
    view = _View(job)
    check_numbers(view.status, COUNTS, STATUS, errors)
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        path = STATUS.child("uncountedTerminatedPods", field)
        for index, uid in enumerate(view.uncounted().get(field) or ()):
            if not uid:
                errors.invalid(path.index(index), uid, "must not be empty")
            elif uid in seen:
                errors.duplicate(path.index(index), uid)
            seen.add(uid)
    for other in (FAILED, FAILURE):
        if view.has(SUCCESS) and view.has(other):
            said = "Failed=true" if other == FAILED else "FailureTarget=true"
            text = f"cannot set SuccessCriteriaMet=True and {said} conditions"
            errors.invalid_unshown(CONDITIONS, text)
    if view.spec.get("successPolicy") and view.has(COMPLETE) and not view.has(SUCCESS):
        text = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        errors.invalid_unshown(CONDITIONS, text)


def validate_status_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """What depends on what was there before; nothing where the status stays."""
    if (new.get("status") or {}) == (old.get("status") or {}):
        return
    has, had = _View(new), _View(old)
    _validate_ends(has, had, errors)
    _validate_times(has, had, errors)
    _validate_finished(has, had, errors)
    _validate_index_sets(has, had, errors)
    _validate_counters(has, had, errors)


def _validate_ends(has: _View, had: _View, errors: FieldErrors) -> None:
    """Ends exclude each other and are final."""
    complete_changed = has.has(COMPLETE) != had.has(COMPLETE)
    for other in (FAILED, FAILURE):
        changed = complete_changed or has.has(other) != had.has(other)
        if changed and has.has(COMPLETE) and has.has(other):
            said = "Failed=true" if other == FAILED else "FailureTarget=true"
            errors.invalid_unshown(CONDITIONS, f"cannot set Complete=True and {said} conditions")
    for kind in (FAILED, COMPLETE, FAILURE):
        if had.has(kind) and not has.has(kind):
            text = f"cannot disable the terminal {kind}=True condition"
            errors.invalid_unshown(CONDITIONS, text)
    if had.has(SUCCESS) and not has.has(SUCCESS):
        errors.invalid_unshown(CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition")
    if had.has(COMPLETE) and not had.has(SUCCESS) and has.has(SUCCESS):
        text = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        errors.invalid_unshown(CONDITIONS, text)
    if has.has(FAILED) and not had.has(FAILED) and not has.has(FAILURE):
        text = "cannot set Failed=True condition without the FailureTarget=true condition"
        errors.invalid_unshown(CONDITIONS, text)
    if has.has(COMPLETE) and complete_changed and not has.has(SUCCESS):
        text = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        errors.invalid_unshown(CONDITIONS, text)


def _validate_times(has: _View, had: _View, errors: FieldErrors) -> None:
    start, end = has.time("startTime"), has.time("completionTime")
    path, said = STATUS.child("completionTime"), has.status.get("completionTime")
    end_changed = end != had.time("completionTime")
    if end_changed or has.has(COMPLETE) != had.has(COMPLETE):
        if end and not has.has(COMPLETE):
            text = "cannot set completionTime when there is no Complete=True condition"
            errors.invalid(path, said, text)
        if not end and has.has(COMPLETE):
            errors.required(path, "completionTime is required for Complete jobs")
    start_changed = start != had.time("startTime")
    if (start_changed or end_changed) and start and end and end < start:
        errors.invalid(path, said, "completionTime cannot be set before startTime")
    if end and had.time("completionTime") and end_changed:
        errors.invalid(path, said, "completionTime cannot be mutated")
    # A Job that is resumed starts anew.
    resumed = had.has("Suspended") and not has.has("Suspended")
    if had.time("startTime") and start_changed and not has.spec.get("suspend") and not resumed:
        text = "field is immutable for unsuspended job once set"
        errors.invalid(STATUS.child("startTime"), has.status.get("startTime"), text)


def _validate_finished(has: _View, had: _View, errors: FieldErrors) -> None:
    """A finished Job has nothing left to do."""
    if not has.is_finished:
        return
    ended = not had.is_finished
    for field in ("active", "terminating"):
        value = has.status.get(field) or 0
        if value > 0 and (ended or value != (had.status.get(field) or 0)):
            errors.invalid(STATUS.child(field), value, f"{field}>0 is invalid for finished job")
    start = has.time("startTime")
    if start is None and (ended or had.time("startTime")):
        errors.required(STATUS.child("startTime"), "startTime is required for finished job")
    if has.uncounted() and (ended or has.uncounted() != had.uncounted()):
        text = "uncountedTerminatedPods needs to be empty for finished job"
        errors.invalid(STATUS.child("uncountedTerminatedPods"), has.uncounted(), text)


def _validate_index_sets(has: _View, had: _View, errors: FieldErrors) -> None:
    sets: dict[str, list[tuple[int, int]]] = {}
    changed = {
        f for f in ("completedIndexes", "failedIndexes") if has.status.get(f) != had.status.get(f)
    }
    completions = has.spec.get("completions")
    for field in ("completedIndexes", "failedIndexes"):
        text, path = has.status.get(field) or "", STATUS.child(field)
        try:
            sets[field] = parse_indexes(text, completions or 0) if completions is not None else []
        except ValueError as problem:
            if field in changed:
                errors.invalid(path, text, f"error parsing {field}: {problem}")
    done, failed = has.status.get("completedIndexes"), has.status.get("failedIndexes")
    if done and has.spec.get("completionMode") != "Indexed" and "completedIndexes" in changed:
        text = "cannot set non-empty completedIndexes when non-indexed completion mode"
        errors.invalid(STATUS.child("completedIndexes"), done, text)
    per_index = has.spec.get("backoffLimitPerIndex") is not None
    if failed is not None and not per_index and "failedIndexes" in changed:
        text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        errors.invalid(STATUS.child("failedIndexes"), failed, text)
    if not changed or len(sets) < 2:
        return
    both = first_overlap(sets["completedIndexes"], sets["failedIndexes"])
    if both is not None:
        text = f"failedIndexes and completedIndexes overlap at index: {both}"
        errors.invalid(STATUS.child("failedIndexes"), failed, text)


def _validate_counters(has: _View, had: _View, errors: FieldErrors) -> None:
    """Counts of ended pods only grow; an elastic Job that shrinks forgets some successes."""
    spec = has.spec
    elastic = spec.get("completionMode") == "Indexed" and (
        spec.get("completions") == spec.get("parallelism")
    )
    for field in ("failed", "succeeded"):
        value = has.status.get(field) or 0
        if value < (had.status.get(field) or 0) and not (field == "succeeded" and elastic):
            errors.invalid(STATUS.child(field), value, f"cannot decrease the {field} counter")
    ready, active = has.status.get("ready"), has.status.get("active") or 0
    was = had.status.get("ready"), had.status.get("active") or 0
    if ready is not None and ready > active and (ready, active) != was:
        errors.invalid(STATUS.child("ready"), ready, "cannot set more ready pods than active")
