"""Versions that upstream has removed, for clients and manifests that still speak them.

Served only with --compat-betas, each answer with upstream's warning. What has the shape of the
newer version is one line here; the others have a file each.
"""

from dataclasses import replace

from edgek.kinds.betas.autoscaler import AUTOSCALER_V2BETA1
from edgek.kinds.betas.beta_of import beta_of
from edgek.kinds.betas.disruption_budget import POLICY_DISRUPTION_BUDGET
from edgek.kinds.betas.endpoint_slice import DISCOVERY_ENDPOINT_SLICE
from edgek.kinds.betas.ingress import EXTENSIONS_INGRESS, NETWORKING_INGRESS
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.cron_job import CRON_JOB
from edgek.kinds.csi_driver import CSI_DRIVER
from edgek.kinds.csi_node import CSI_NODE
from edgek.kinds.csi_storage_capacity import CSI_STORAGE_CAPACITY
from edgek.kinds.event_v1 import EVENT_V1
from edgek.kinds.event_v1 import validate_lightly as validate_event
from edgek.kinds.flow_schema import FLOW_SCHEMA
from edgek.kinds.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALER
from edgek.kinds.ingress_class import INGRESS_CLASS
from edgek.kinds.kind import Kind
from edgek.kinds.lease import LEASE
from edgek.kinds.priority_class import PRIORITY_CLASS
from edgek.kinds.priority_level import PRIORITY_LEVEL
from edgek.kinds.role import ROLE
from edgek.kinds.role_binding import ROLE_BINDING
from edgek.kinds.runtime_class import RUNTIME_CLASS
from edgek.kinds.storage_class import STORAGE_CLASS
from edgek.kinds.volume_attachment import VOLUME_ATTACHMENT

GONE_WITH_1_22 = (
    (INGRESS_CLASS, "1.19"),
    (CSI_DRIVER, "1.19"),
    (CSI_NODE, "1.17"),
    (STORAGE_CLASS, "1.19"),
    (VOLUME_ATTACHMENT, "1.19"),
    (ROLE, "1.17"),
    (ROLE_BINDING, "1.17"),
    (CLUSTER_ROLE, "1.17"),
    (CLUSTER_ROLE_BINDING, "1.17"),
    (LEASE, "1.19"),
    (PRIORITY_CLASS, "1.14"),
)

BETAS: tuple[Kind, ...] = (
    EXTENSIONS_INGRESS,
    NETWORKING_INGRESS,
    *(beta_of(k, version="v1beta1", since=since, until="1.22") for k, since in GONE_WITH_1_22),
    POLICY_DISRUPTION_BUDGET,
    DISCOVERY_ENDPOINT_SLICE,
    beta_of(CRON_JOB, version="v1beta1", since="1.21", until="1.25"),
    beta_of(RUNTIME_CLASS, version="v1beta1", since="1.22", until="1.25"),
    replace(
        beta_of(EVENT_V1, version="v1beta1", since="1.22", until="1.25"),
        validate=validate_event,
        validate_update=lambda new, old, errors: None,
    ),
    AUTOSCALER_V2BETA1,
    beta_of(HORIZONTAL_POD_AUTOSCALER, version="v2beta2", since="1.23", until="1.26"),
    beta_of(CSI_STORAGE_CAPACITY, version="v1beta1", since="1.24", until="1.27"),
    beta_of(FLOW_SCHEMA, version="v1beta3", since="1.29", until="1.32"),
    beta_of(PRIORITY_LEVEL, version="v1beta3", since="1.29", until="1.32"),
)
