"""ReplicationController: the oldest way to keep a number of equal pods running.

Its selector is a plain map and may change; where it is left out it is the template's labels.
"""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors
from edgek.kinds.checks import check_numbers
from edgek.kinds.columns import REPLICA_COLUMNS, format_labels, read_number, template_columns
from edgek.kinds.kind import AGE, NAME, SCALE, STATUS, Kind, ScalePaths
from edgek.kinds.pod_defaults import default_template
from edgek.kinds.pod_validation import validate_template
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.strategy import ensure, keep_status, only_status
from edgek.kinds.workload import (
    SPEC,
    TEMPLATE,
    default_replicas,
    validate_always_restarts,
    validate_workload_status,
)


def _default(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    default_replicas(spec)
    template = spec.get("template")
    if template is None:
        return
    default_template(template)
    if labels := template["metadata"].get("labels"):
        spec["selector"] = spec.get("selector") or dict(labels)
        obj["metadata"]["labels"] = obj["metadata"].get("labels") or dict(labels)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    """As ValidateReplicationControllerSpec and ValidateReplicationControllerStatus."""
    spec = obj.get("spec") or {}
    check_numbers(spec, ("minReadySeconds", "replicas"), SPEC, errors)
    selector = spec.get("selector") or {}
    if not selector:
        errors.required(SPEC.child("selector"))
    template = spec.get("template")
    if template is None:
        errors.required(TEMPLATE)
    else:
        _validate_template(template, selector, errors)
    validate_workload_status(obj, errors)


def _validate_template(template: Obj, selector: dict[str, str], errors: FieldErrors) -> None:
    labels = (template.get("metadata") or {}).get("labels") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        text = "`selector` does not match template `labels`"
        errors.invalid(TEMPLATE.child("metadata", "labels"), labels, text)
    validate_template(template, TEMPLATE, errors)
    validate_always_restarts(template.get("spec") or {}, "ReplicationController", errors)


def _selector(obj: Obj) -> str:
    return format_labels(get_path(obj, "spec", "selector"))


REPLICATION_CONTROLLER = Kind(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    columns=(
        NAME,
        *REPLICA_COLUMNS,
        AGE,
        *template_columns("spec", "template", selector=_selector),
    ),
    subresources=(STATUS, SCALE),
    scale=ScalePaths(),
    selectable=("status.replicas",),
    read_field=read_number,
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    warn=warn_of_template("spec", "template"),
    generation=True,
    orphans=True,
    example={
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "docker.io/library/nginx:1.29"}]},
            },
        },
    },
)
