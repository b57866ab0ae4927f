"""``admin``, ``edit`` and ``view``: the roles that people are given in a namespace.

Each is summed up from the ``system:aggregate-to-*`` roles and whatever roles carry their labels.
"""

from edgek.api.meta import Obj
from edgek.kinds.aggregation import summed_up
from server.authz.policy import READ, WRITE, cluster_role, rule

_LABEL = "rbac.authorization.k8s.io/aggregate-to-"
_SCALES = "deployments/scale replicasets/scale statefulsets/scale"
_APPS = f"daemonsets deployments replicasets statefulsets {_SCALES}"
_OLD = (
    "daemonsets deployments deployments/scale replicasets replicasets/scale "
    "replicationcontrollers/scale"
)
"""What the group ``extensions`` once had; upstream still grants it."""
_NETWORK = "ingresses networkpolicies"

_VIEW = (
    rule(READ, "", "pods replicationcontrollers replicationcontrollers/scale serviceaccounts "
         "services services/status endpoints persistentvolumeclaims "
         "persistentvolumeclaims/status configmaps"),
    rule(READ, "", "limitranges resourcequotas bindings events pods/status resourcequotas/status "
         "namespaces/status replicationcontrollers/status pods/log"),
    rule(READ, "", "namespaces"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(READ, "apps", f"controllerrevisions {_APPS} daemonsets/status deployments/status "
         "replicasets/status statefulsets/status"),
    rule(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    rule(READ, "batch", "jobs cronjobs cronjobs/status jobs/status"),
    rule(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    rule(READ, "networking.k8s.io", f"{_NETWORK} ingresses/status"),
    rule(READ, "extensions", f"{_OLD} {_NETWORK} daemonsets/status deployments/status "
         "replicasets/status ingresses/status"),
    rule(READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
)  # fmt: skip

_EDIT = (
    rule(READ, "", "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy"),
    rule("impersonate", "", "serviceaccounts"),
    rule(WRITE, "", "pods pods/attach pods/proxy pods/exec pods/portforward"),
    rule("create", "", "pods/eviction"),
    rule(WRITE, "", "replicationcontrollers replicationcontrollers/scale serviceaccounts services "
         "services/proxy persistentvolumeclaims configmaps secrets events"),
    rule("create", "", "serviceaccounts/token"),
    rule(WRITE, "apps", f"{_APPS} deployments/rollback"),
    rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
    rule(WRITE, "batch", "jobs cronjobs"),
    rule(WRITE, "policy", "poddisruptionbudgets"),
    rule(WRITE, "networking.k8s.io", _NETWORK),
    rule(WRITE, "extensions", f"{_OLD} {_NETWORK} deployments/rollback"),
    rule(WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
    rule(f"{WRITE} {READ}", "coordination.k8s.io", "leases"),
)  # fmt: skip

_ADMIN = (
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    rule(f"{WRITE} {READ}", "rbac.authorization.k8s.io", "roles rolebindings"),
)


def _parts(to: str, *rules: Obj) -> Obj:
    return cluster_role(f"system:aggregate-to-{to}", *rules, labels={f"{_LABEL}{to}": "true"})


USER_ROLES: tuple[Obj, ...] = summed_up(
    (
        _parts("admin", *_ADMIN),
        _parts("edit", *_EDIT),
        _parts("view", *_VIEW),
        cluster_role(
            "system:aggregated-metrics-reader",
            rule(READ, "metrics.k8s.io", "pods nodes"),
            labels={f"{_LABEL}{to}": "true" for to in ("admin", "edit", "view")},
        ),  # as metrics-server's manifest has it
        cluster_role("admin", aggregate=f"{_LABEL}admin"),
        cluster_role("edit", labels={f"{_LABEL}admin": "true"}, aggregate=f"{_LABEL}edit"),
        cluster_role("view", labels={f"{_LABEL}edit": "true"}, aggregate=f"{_LABEL}view"),
    )
)
