"""ReplicaSet: keeps a number of equal pods running."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.columns import REPLICA_COLUMNS, TEMPLATE_COLUMNS, read_number
from edgek.kinds.kind import AGE, NAME, SCALE, STATUS, Kind, ScalePaths
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.strategy import keep_status, only_status
from edgek.kinds.workload import (
    default_replicas,
    default_workload,
    validate_workload,
    validate_workload_status,
    validate_workload_update,
)


def _default(obj: Obj) -> None:
    default_replicas(default_workload(obj))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    validate_workload(obj, "deployment", errors)  # upstream says so of ReplicaSets, too
    validate_workload_status(obj, errors)


REPLICA_SET = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    short_names=("rs",),
    categories=("all",),
    columns=(
        NAME,
        *REPLICA_COLUMNS,
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    subresources=(STATUS, SCALE),
    scale=ScalePaths(),
    selectable=("status.replicas",),
    read_field=read_number,
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=validate_workload_update,
    warn=warn_of_template("spec", "template"),
    generation=True,
    example={
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "docker.io/library/nginx:1.29"}]},
            },
        },
    },
)
