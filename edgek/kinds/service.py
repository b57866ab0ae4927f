"""Service: a stable address for a set of pods. Addresses and node ports are the registry's."""

from edgek.api.validation import is_dns1123_label
from edgek.kinds.kind import CONNECT, STATUS, Kind, Subresource
from edgek.kinds.service_columns import SERVICE_COLUMNS
from edgek.kinds.service_defaults import default_service, prepare_service
from edgek.kinds.service_validation import validate_service, validate_service_update
from edgek.kinds.strategy import only_status

SERVICE = Kind(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    columns=SERVICE_COLUMNS,
    subresources=(
        STATUS,
        Subresource(name="proxy", verbs=CONNECT, version="v1", kind="ServiceProxyOptions"),
    ),
    selectable=("spec.clusterIP", "spec.type"),
    default=default_service,
    prepare=prepare_service,
    prepare_status=only_status,
    validate=validate_service,
    validate_update=validate_service_update,
    validate_name=is_dns1123_label,
    example={
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    },
)
