"""Validation of JobSpecs, of Jobs and of CronJobs' templates (pkg/apis/batch/validation).

What pods' ends mean is in job_policies, what may change in job_update, what a status may say
in job_status.
"""

import re

from edgek.api.meta import Obj, get_path
from edgek.api.selectors import from_label_selector
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
)
from edgek.kinds.checks import check_enum, check_label_selector, check_numbers
from edgek.kinds.job_policies import validate_failure_policy, validate_success_policy
from edgek.kinds.pod_validation import validate_template

SPEC = FieldPath("spec")
NUMBERS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
    "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
MODES = ("Indexed", "NonIndexed")
MOST = 100_000
"""Pods at once, and failed indexes, of an Indexed Job."""
MANY_COMPLETIONS = 100_000
MOST_WITH_MANY = 10_000
MAX_MANAGED_BY = 63
HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
JOB_NAME, CONTROLLER_UID = "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid"
OLD_JOB_NAME, OLD_CONTROLLER_UID = "job-name", "controller-uid"


def validate_job_spec(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """All but the selector."""
    check_numbers(spec, NUMBERS, path, errors)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errors.required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified")
    if spec.get("managedBy") is not None:
        _validate_manager(spec["managedBy"], path.child("managedBy"), errors)
    mode = spec.get("completionMode")
    check_enum(mode, MODES, path.child("completionMode"), errors, required=False)
    if mode == "Indexed":
        _validate_indexed(spec, path, errors)
    else:
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(field) is not None:
                text = "requires indexed completion mode"
                errors.invalid(path.child(field), spec[field], text)
    if spec.get("podFailurePolicy") is not None:
        validate_failure_policy(spec, path.child("podFailurePolicy"), errors)
    if spec.get("successPolicy") is not None:
        validate_success_policy(spec, path.child("successPolicy"), errors)
    _validate_replacement(spec, path.child("podReplacementPolicy"), errors)
    validate_template(spec.get("template") or {}, path.child("template"), errors)
    _validate_restarts(spec, path.child("template", "spec", "restartPolicy"), errors)


def _validate_manager(name: str, path: FieldPath, errors: FieldErrors) -> None:
    """As IsDomainPrefixedPath."""
    host, _, rest = name.partition("/")
    if not name:
        errors.required(path)
    elif not host or not rest:
        text = 'must be a domain-prefixed path (such as "acme.io/foo")'
        errors.invalid(path, name, text)
    else:
        for problem in is_dns1123_subdomain(host):
            errors.invalid(path, host, problem)
        if not re.fullmatch(HTTP_PATH, rest):
            text = f"Invalid path (regex used for validation is '{HTTP_PATH}')"
            errors.invalid(path, rest, text)
    if len(name) > MAX_MANAGED_BY:
        errors.too_long(path, MAX_MANAGED_BY)


def _validate_indexed(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    completions, failed = spec.get("completions"), spec.get("maxFailedIndexes")
    if completions is None:
        errors.required(path.child("completions"), "when completion mode is Indexed")
    more = "must be less than or equal to"
    _check_most(spec, "parallelism", MOST, " when completion mode is Indexed", path, errors)
    if completions is not None and failed is not None and failed > completions:
        errors.invalid(path.child("maxFailedIndexes"), failed, f"{more} completions")
    _check_most(spec, "maxFailedIndexes", MOST, "", path, errors)
    if (completions or 0) <= MANY_COMPLETIONS or spec.get("backoffLimitPerIndex") is None:
        return
    if failed is None:
        text = f"must be specified when completions is above {MANY_COMPLETIONS}"
        errors.required(path.child("maxFailedIndexes"), text)
    why = f" when completions are above {MANY_COMPLETIONS} and used with backoff limit per index"
    _check_most(spec, "parallelism", MOST_WITH_MANY, why, path, errors)
    _check_most(spec, "maxFailedIndexes", MOST_WITH_MANY, why, path, errors)


def _check_most(
    spec: Obj, field: str, most: int, why: str, path: FieldPath, errors: FieldErrors
) -> None:
    if (spec.get(field) or 0) > most:
        text = f"must be less than or equal to {most}{why}"
        errors.invalid(path.child(field), spec[field], text)


def _validate_replacement(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """With a failure policy a pod must have failed for good before it is replaced."""
    choices = ("Failed", "TerminatingOrFailed")
    allowed = choices[:1] if spec.get("podFailurePolicy") is not None else choices
    check_enum(spec.get("podReplacementPolicy"), allowed, path, errors, required=False)


def _validate_restarts(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """A policy not given has become Always by default, so Always is told as a missing one."""
    policy = get_path(spec, "template", "spec", "restartPolicy", default="")
    if policy in ("", "Always"):
        errors.required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        errors.not_supported(path, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        text = 'only "Never" is supported when podFailurePolicy is specified'
        errors.invalid(path, policy, text)


def validate_job(job: Obj, errors: FieldErrors) -> None:
    """A Job's own: selector, labels and the names of its pods."""
    spec = job.get("spec") or {}
    _validate_generated(job, errors)
    validate_job_spec(spec, SPEC, errors)
    selector = spec.get("selector")
    before = len(errors.errors)
    if selector is None:
        errors.required(SPEC.child("selector"))
    else:
        check_label_selector(selector, SPEC.child("selector"), errors)
    labels = get_path(spec, "template", "metadata", "labels", default={})
    if len(errors.errors) == before and not from_label_selector(selector).matches(labels):
        path = SPEC.child("template", "metadata", "labels")
        errors.invalid(path, labels, "`selector` does not match template `labels`")
    _validate_last_name(job, errors)


def _validate_generated(job: Obj, errors: FieldErrors) -> None:
    """The labels and the selector that job_prepare gave are this Job's, not another's."""
    spec, meta = job.get("spec") or {}, job["metadata"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return
    uid, name = meta.get("uid") or "", meta.get("name") or ""
    if not uid:
        errors.required(FieldPath("metadata.uid"))
    expected = {CONTROLLER_UID: uid, JOB_NAME: name}
    labels = get_path(spec, "template", "metadata", "labels", default={})
    for key, value in expected.items():
        path = SPEC.child("template", "metadata", "labels")
        if key not in labels:
            errors.required(path.key(key), f"must be '{value}'")
        elif labels[key] != value:
            errors.invalid(path.key(key), labels, f"must be '{value}'")
    expected |= {OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name}
    problems = FieldErrors()
    check_label_selector(spec["selector"], SPEC.child("selector"), problems)
    if not problems and not from_label_selector(spec["selector"]).matches(expected):
        text = "`selector` not auto-generated"
        errors.invalid(SPEC.child("selector"), spec["selector"], text)


def _validate_last_name(job: Obj, errors: FieldErrors) -> None:
    """Pods of an Indexed Job have their index in the hostname, which is one DNS label."""
    spec, name = job.get("spec") or {}, job["metadata"].get("name") or ""
    completions = spec.get("completions") or 0
    if spec.get("completionMode") != "Indexed" or completions <= 0:
        return
    last = f"{name}-{completions - 1}"
    if is_dns1123_label(last):
        text = f"will not able to create pod with invalid DNS label: {last}"
        errors.invalid(FieldPath("metadata.name"), name, text)
