"""The controllers: each keeps one promise about the cluster, level-based and idempotent.

``ALL`` is the list of those that need nothing but the API; each module's ``build(context)`` makes
its reconciler. The few that must know more (keys, networks, our address) are added in
server/run.py. They are plain API clients: nothing here reaches the registry or the store.
"""

from edgek.control.controller import Builder
from server.controllers import (
    clusterrole_aggregation,
    cronjob,
    csr_approving,
    custom_api_services,
    daemonset,
    definitions,
    deployment,
    disruption,
    endpoint_slice,
    endpoint_slice_mirroring,
    endpoints,
    flow_schema_status,
    garbage_collector,
    job,
    job_orphan_pods,
    namespace,
    pod_gc,
    pv_protection,
    pvc_protection,
    replicaset,
    replication_controller,
    resource_quota,
    service_account,
    stale_disruption,
    statefulset,
    ttl_after_finished,
    validating_admission_policy_status,
)

ALL: tuple[Builder, ...] = (
    namespace.build,
    resource_quota.build,
    service_account.build,
    garbage_collector.build,
    definitions.build,
    deployment.build,
    replicaset.build,
    replication_controller.build,
    daemonset.build,
    job.build,
    job_orphan_pods.build,
    cronjob.build,
    ttl_after_finished.build,
    statefulset.build,
    disruption.build,
    stale_disruption.build,
    endpoints.build,
    endpoint_slice.build,
    endpoint_slice_mirroring.build,
    pod_gc.build,
    pvc_protection.build,
    pv_protection.build,
    flow_schema_status.build,
    csr_approving.build,
    clusterrole_aggregation.build,
    validating_admission_policy_status.build,
    custom_api_services.build,
)
