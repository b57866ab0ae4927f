"""What each kind is. ``ALL`` is the order of discovery and the only list of kinds."""

from edgek.kinds.api_service import API_SERVICE
from edgek.kinds.authentication_review import SELF_SUBJECT_REVIEW, TOKEN_REVIEW
from edgek.kinds.betas import BETAS
from edgek.kinds.certificate_signing_request import CERTIFICATE_SIGNING_REQUEST
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.component_status import COMPONENT_STATUS
from edgek.kinds.configmap import CONFIG_MAP
from edgek.kinds.controller_revision import CONTROLLER_REVISION
from edgek.kinds.cron_job import CRON_JOB
from edgek.kinds.csi_driver import CSI_DRIVER
from edgek.kinds.csi_node import CSI_NODE
from edgek.kinds.csi_storage_capacity import CSI_STORAGE_CAPACITY
from edgek.kinds.custom_resource_definition import CUSTOM_RESOURCE_DEFINITION
from edgek.kinds.daemonset import DAEMON_SET
from edgek.kinds.deployment import DEPLOYMENT
from edgek.kinds.device_class import DEVICE_CLASS
from edgek.kinds.device_taint_rule import DEVICE_TAINT_RULE
from edgek.kinds.endpoint_slice import ENDPOINT_SLICE
from edgek.kinds.endpoints import ENDPOINTS
from edgek.kinds.event import EVENT
from edgek.kinds.event_v1 import EVENT_V1
from edgek.kinds.flow_schema import FLOW_SCHEMA
from edgek.kinds.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALER
from edgek.kinds.horizontal_pod_autoscaler_v1 import HORIZONTAL_POD_AUTOSCALER_V1
from edgek.kinds.ingress import INGRESS
from edgek.kinds.ingress_class import INGRESS_CLASS
from edgek.kinds.ip_address import IP_ADDRESS
from edgek.kinds.job import JOB
from edgek.kinds.kind import Ago, Column, Kind, ScalePaths, Subresource
from edgek.kinds.lease import LEASE
from edgek.kinds.limit_range import LIMIT_RANGE
from edgek.kinds.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
)
from edgek.kinds.namespace import NAMESPACE
from edgek.kinds.network_policy import NETWORK_POLICY
from edgek.kinds.node import NODE
from edgek.kinds.persistent_volume import PERSISTENT_VOLUME
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM
from edgek.kinds.pod import POD
from edgek.kinds.pod_certificate_request import POD_CERTIFICATE_REQUEST
from edgek.kinds.pod_disruption_budget import POD_DISRUPTION_BUDGET
from edgek.kinds.pod_template import POD_TEMPLATE
from edgek.kinds.priority_class import PRIORITY_CLASS
from edgek.kinds.priority_level import PRIORITY_LEVEL
from edgek.kinds.replicaset import REPLICA_SET
from edgek.kinds.replication_controller import REPLICATION_CONTROLLER
from edgek.kinds.resource_claim import RESOURCE_CLAIM
from edgek.kinds.resource_claim_template import RESOURCE_CLAIM_TEMPLATE
from edgek.kinds.resource_metrics import NODE_METRICS, POD_METRICS
from edgek.kinds.resource_quota import RESOURCE_QUOTA
from edgek.kinds.resource_slice import RESOURCE_SLICE
from edgek.kinds.role import ROLE
from edgek.kinds.role_binding import ROLE_BINDING
from edgek.kinds.runtime_class import RUNTIME_CLASS
from edgek.kinds.secret import SECRET
from edgek.kinds.service import SERVICE
from edgek.kinds.service_account import SERVICE_ACCOUNT
from edgek.kinds.service_cidr import SERVICE_CIDR
from edgek.kinds.statefulset import STATEFUL_SET
from edgek.kinds.storage_class import STORAGE_CLASS
from edgek.kinds.storage_version_migration import STORAGE_VERSION_MIGRATION
from edgek.kinds.subject_access_review import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SUBJECT_ACCESS_REVIEW,
)
from edgek.kinds.subject_rules_review import SELF_SUBJECT_RULES_REVIEW
from edgek.kinds.trust_bundle import CLUSTER_TRUST_BUNDLE
from edgek.kinds.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from edgek.kinds.volume_attachment import VOLUME_ATTACHMENT
from edgek.kinds.volume_attributes_class import VOLUME_ATTRIBUTES_CLASS
from edgek.kinds.webhook_configuration import (
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_WEBHOOK_CONFIGURATION,
)

ALL: tuple[Kind, ...] = (
    NAMESPACE,
    NODE,
    POD,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    SERVICE,
    ENDPOINTS,
    ENDPOINT_SLICE,
    CONFIG_MAP,
    SECRET,
    SERVICE_ACCOUNT,
    LIMIT_RANGE,
    RESOURCE_QUOTA,
    EVENT,
    LEASE,
    REPLICA_SET,
    DEPLOYMENT,
    DAEMON_SET,
    STATEFUL_SET,
    CONTROLLER_REVISION,
    HORIZONTAL_POD_AUTOSCALER,
    HORIZONTAL_POD_AUTOSCALER_V1,
    JOB,
    CRON_JOB,
    POD_DISRUPTION_BUDGET,
    PRIORITY_CLASS,
    RUNTIME_CLASS,
    ROLE,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CERTIFICATE_SIGNING_REQUEST,
    TOKEN_REVIEW,
    SELF_SUBJECT_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    INGRESS,
    INGRESS_CLASS,
    NETWORK_POLICY,
    SERVICE_CIDR,
    IP_ADDRESS,
    STORAGE_CLASS,
    VOLUME_ATTRIBUTES_CLASS,
    VOLUME_ATTACHMENT,
    CSI_DRIVER,
    CSI_NODE,
    CSI_STORAGE_CAPACITY,
    EVENT_V1,
    FLOW_SCHEMA,
    PRIORITY_LEVEL,
    VALIDATING_WEBHOOK_CONFIGURATION,
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    API_SERVICE,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    DEVICE_CLASS,
    RESOURCE_SLICE,
    DEVICE_TAINT_RULE,
    CUSTOM_RESOURCE_DEFINITION,
    CLUSTER_TRUST_BUNDLE,
    POD_CERTIFICATE_REQUEST,
    STORAGE_VERSION_MIGRATION,
    COMPONENT_STATUS,
    NODE_METRICS,
    POD_METRICS,
)

COMPAT_BETAS: tuple[Kind, ...] = BETAS
"""Versions that upstream has removed, served only under --compat-betas."""

__all__ = [
    "ALL",
    "API_SERVICE",
    "CERTIFICATE_SIGNING_REQUEST",
    "CLUSTER_ROLE",
    "CLUSTER_ROLE_BINDING",
    "CLUSTER_TRUST_BUNDLE",
    "COMPAT_BETAS",
    "COMPONENT_STATUS",
    "CONFIG_MAP",
    "CONTROLLER_REVISION",
    "CRON_JOB",
    "CSI_DRIVER",
    "CSI_NODE",
    "CSI_STORAGE_CAPACITY",
    "CUSTOM_RESOURCE_DEFINITION",
    "DAEMON_SET",
    "DEPLOYMENT",
    "DEVICE_CLASS",
    "DEVICE_TAINT_RULE",
    "ENDPOINTS",
    "ENDPOINT_SLICE",
    "EVENT",
    "EVENT_V1",
    "FLOW_SCHEMA",
    "HORIZONTAL_POD_AUTOSCALER",
    "HORIZONTAL_POD_AUTOSCALER_V1",
    "INGRESS",
    "INGRESS_CLASS",
    "IP_ADDRESS",
    "JOB",
    "LEASE",
    "LIMIT_RANGE",
    "LOCAL_SUBJECT_ACCESS_REVIEW",
    "MUTATING_ADMISSION_POLICY",
    "MUTATING_ADMISSION_POLICY_BINDING",
    "MUTATING_WEBHOOK_CONFIGURATION",
    "NAMESPACE",
    "NETWORK_POLICY",
    "NODE",
    "NODE_METRICS",
    "PERSISTENT_VOLUME",
    "PERSISTENT_VOLUME_CLAIM",
    "POD",
    "POD_CERTIFICATE_REQUEST",
    "POD_DISRUPTION_BUDGET",
    "POD_METRICS",
    "POD_TEMPLATE",
    "PRIORITY_CLASS",
    "PRIORITY_LEVEL",
    "REPLICATION_CONTROLLER",
    "REPLICA_SET",
    "RESOURCE_CLAIM",
    "RESOURCE_CLAIM_TEMPLATE",
    "RESOURCE_QUOTA",
    "RESOURCE_SLICE",
    "ROLE",
    "ROLE_BINDING",
    "RUNTIME_CLASS",
    "SECRET",
    "SELF_SUBJECT_ACCESS_REVIEW",
    "SELF_SUBJECT_REVIEW",
    "SELF_SUBJECT_RULES_REVIEW",
    "SERVICE",
    "SERVICE_ACCOUNT",
    "SERVICE_CIDR",
    "STATEFUL_SET",
    "STORAGE_CLASS",
    "STORAGE_VERSION_MIGRATION",
    "SUBJECT_ACCESS_REVIEW",
    "TOKEN_REVIEW",
    "VALIDATING_ADMISSION_POLICY",
    "VALIDATING_ADMISSION_POLICY_BINDING",
    "VALIDATING_WEBHOOK_CONFIGURATION",
    "VOLUME_ATTACHMENT",
    "VOLUME_ATTRIBUTES_CLASS",
    "Ago",
    "Column",
    "Kind",
    "ScalePaths",
    "Subresource",
]
