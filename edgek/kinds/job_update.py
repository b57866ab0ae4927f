"""What of a Job may change (upstream: ValidateJobSpecUpdate)."""

from edgek.api.conditions import is_true
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.metadata import immutable

SPEC = FieldPath("spec")
IMMUTABLE = (
    "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy",
)  # fmt: skip
_PLACEMENT = ("nodeSelector", "tolerations", "schedulingGates")
_CONTAINERS = ("containers", "initContainers")


def validate_job_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    _validate_completions(spec, before, errors)
    immutable(spec.get("selector"), before.get("selector"), SPEC.child("selector"), errors)
    _validate_template_update(spec, old, errors)
    for field in IMMUTABLE:
        immutable(spec.get(field), before.get(field), SPEC.child(field), errors)


def _validate_completions(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    """An Indexed Job is elastic, as long as completions and parallelism stay equal."""
    path, value = SPEC.child("completions"), spec.get("completions")
    if spec.get("completionMode") != "Indexed":
        immutable(value, before.get("completions"), path, errors)
    elif value not in (None, before.get("completions"), spec.get("parallelism")):
        errors.invalid(path, value, "can only be modified in tandem with spec.parallelism")


def _validate_template_update(spec: Obj, old: Obj, errors: FieldErrors) -> None:
    """While a Job is suspended a queue may still say where its pods run and what they get."""
    before = old.get("spec") or {}
    template, was = spec.get("template") or {}, before.get("template") or {}
    status = old.get("status") or {}
    stopped = not status.get("startTime") or is_true(status.get("conditions"), "Suspended")
    if before.get("suspend") and stopped:
        same = _without_directives(template) == _without_directives(was)
    else:
        same = template == was
    if not same:
        errors.invalid(SPEC.child("template"), template, "field is immutable")


def _without_directives(template: Obj) -> Obj:
    """What of a template must stay as it is."""
    meta, pod = dict(template.get("metadata") or {}), dict(template.get("spec") or {})
    for field in ("labels", "annotations"):
        meta.pop(field, None)
    for field in _PLACEMENT:
        pod.pop(field, None)
    affinity = {k: v for k, v in (pod.get("affinity") or {}).items() if v and k != "nodeAffinity"}
    for field in _CONTAINERS:
        if pod.get(field):
            pod[field] = [{**container, "resources": {}} for container in pod[field]]
    return {
        **template,
        "metadata": meta,
        "spec": {**pod, "affinity": {k: v for k, v in affinity.items() if v}},
    }
