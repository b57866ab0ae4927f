"""The ClusterRoles and Roles every cluster starts with, as data.

As plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, names and rules. Different here: one
role each for the controllers and the scheduler (they are one process), and roles of our own under
``edgek:``. ``default_bindings.py`` says who has them; ``bootstrap.py`` puts them into the cluster.
"""

from collections.abc import Sequence

from edgek.api.meta import Obj
from server.authz.default_user_roles import USER_ROLES
from server.authz.policy import READ, cluster_role, paths, role, rule

CSR = "certificatesigningrequests"
CSR_GROUP = "certificates.k8s.io"
LEASES = "coordination.k8s.io"
EVENT_RULE = rule("create patch update", "", "events")
NEW_EVENT_RULE = rule("create patch update", "events.k8s.io", "events")
HEALTH = ("/livez", "/readyz", "/healthz")
_REVIEWS = (
    rule("create", "authentication.k8s.io", "tokenreviews"),
    rule("create", "authorization.k8s.io", "subjectaccessreviews"),
)

NODE_RULES: Sequence[Obj] = (
    # The tunnel; server/tunnel.py compares the name in the path with the user's.
    paths("get", "/edgek/v1/tunnel/*"),
    # Watches over one connection; each is authorized by itself.
    paths("get", "/edgek/v1/watches"),
    *_REVIEWS,
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    rule(READ, "", "services"),
    rule("create delete", "", "pods"),
    rule("patch update", "", "pods/status"),
    rule("create", "", "pods/eviction"),
    EVENT_RULE,
    NEW_EVENT_RULE,
    rule("get", "", "persistentvolumes endpoints"),
    rule("get patch update", "", "persistentvolumeclaims/status"),
    rule("create get list watch", CSR_GROUP, CSR),
    rule("create get update patch delete", LEASES, "leases"),
    rule("get", "storage.k8s.io", "volumeattachments"),
    rule(READ, "storage.k8s.io", "csidrivers"),
    rule("create delete get patch update", "storage.k8s.io", "csinodes"),
    rule(READ, "node.k8s.io", "runtimeclasses"),
    rule(READ, CSR_GROUP, "clustertrustbundles"),
    rule("create get list watch", CSR_GROUP, "podcertificaterequests"),
)
"""What an agent may do wherever the Node authorizer has no closer rule."""

_NODE_PROXIER = (
    rule(READ, "", "services endpoints nodes"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(READ, "networking.k8s.io", "servicecidrs"),
    EVENT_RULE,
    NEW_EVENT_RULE,
)

_SCHEDULER = (
    EVENT_RULE,
    NEW_EVENT_RULE,
    rule("create get list update watch", LEASES, "leases"),
    rule(READ, "", "nodes namespaces pods replicationcontrollers services persistentvolumeclaims "
         "persistentvolumes"),
    rule("delete", "", "pods"),
    rule("create", "", "bindings pods/binding"),
    rule("patch update", "", "pods/status"),
    rule(READ, "apps", "replicasets statefulsets"),
    rule(READ, "policy", "poddisruptionbudgets"),
    rule(READ, "storage.k8s.io",
         "csinodes csidrivers csistoragecapacities storageclasses volumeattachments"),
    rule("patch update", "", "persistentvolumeclaims persistentvolumes"),
    rule(READ, "resource.k8s.io", "deviceclasses resourceclaims resourceslices"),
    rule("patch update", "resource.k8s.io", "resourceclaims resourceclaims/status"),
    *_REVIEWS,
)  # fmt: skip

_CONTROLLERS = (
    # The garbage collector and the namespace controller go through every kind there is.
    rule("get list watch update patch delete deletecollection", "*", "*"),
    rule("create", "", "configmaps endpoints events namespaces nodes persistentvolumeclaims "
         "persistentvolumes pods podtemplates secrets serviceaccounts serviceaccounts/token "
         "replicationcontrollers services pods/eviction"),
    rule("create", "apiregistration.k8s.io", "apiservices"),
    rule("create", "apps", "controllerrevisions replicasets"),
    rule("create", "batch", "jobs"),
    rule("create", "discovery.k8s.io", "endpointslices"),
    rule("create", "events.k8s.io", "events"),
    rule("create", LEASES, "leases"),
    rule("create", "networking.k8s.io", "ipaddresses servicecidrs"),
    rule("create", "storage.k8s.io", "volumeattachments"),
    *_REVIEWS,
    rule("approve sign", CSR_GROUP, "signers"),
    rule("escalate", "rbac.authorization.k8s.io", "clusterroles roles"),
    paths("get", "/metrics"),
)  # fmt: skip


def _approver(name: str) -> Obj:
    return cluster_role(
        f"system:certificates.k8s.io:{name}-approver",
        {**rule("approve", CSR_GROUP, "signers"), "resourceNames": [f"kubernetes.io/{name}"]},
    )


_PROBES = ("/livez/*", "/readyz/*", "/healthz/*")
_DISCOVERY = ("/openapi", "/openapi/*", "/api", "/api/*", "/apis", "/apis/*")


def _leader(namespace: str, name: str) -> Obj:
    return role(
        namespace,
        f"system::leader-locking-{name}",
        rule("watch", "", "configmaps"),
        {**rule("get update", "", "configmaps"), "resourceNames": [name]},
    )


CLUSTER_ROLES: Sequence[Obj] = (
    cluster_role("cluster-admin", rule("*", "*", "*"), paths("*", "*")),
    cluster_role("system:discovery", paths("get", *HEALTH, "/version", "/version/", *_DISCOVERY)),
    cluster_role(
        "system:basic-user",
        rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ),
    cluster_role("system:public-info-viewer", paths("get", *HEALTH, "/version", "/version/")),
    cluster_role("edgek:join-info-viewer", paths("get", "/cacerts")),
    cluster_role(
        "system:monitoring",
        paths("get", "/metrics", "/metrics/slis", *HEALTH, *_PROBES),
    ),
    *USER_ROLES,
    cluster_role("system:node", *NODE_RULES),
    cluster_role("system:node-proxier", *_NODE_PROXIER),
    cluster_role(
        "system:node-problem-detector",
        rule("get", "", "nodes"), rule("patch", "", "nodes/status"), EVENT_RULE, NEW_EVENT_RULE,
    ),
    cluster_role("system:node-bootstrapper", rule("create get list watch", CSR_GROUP, CSR)),
    cluster_role(
        "system:kubelet-api-admin",
        rule(READ, "", "nodes"), rule("proxy", "", "nodes"),
        rule("*", "", "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy "
             "nodes/stats"),
    ),
    cluster_role(
        "system:cluster-trust-bundle-discovery", rule(READ, CSR_GROUP, "clustertrustbundles")
    ),
    cluster_role("system:auth-delegator", *_REVIEWS),
    cluster_role("system:heapster", rule(READ, "", "events namespaces nodes pods"),
                 rule(READ, "extensions", "deployments")),
    cluster_role("system:kube-aggregator", rule(READ, "", "endpoints services")),
    cluster_role("system:kube-controller-manager", *_CONTROLLERS),
    cluster_role("system:kube-scheduler", *_SCHEDULER),
    cluster_role(
        "system:volume-scheduler",
        rule("get list patch update watch", "", "persistentvolumes"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule("get list patch update watch", "", "persistentvolumeclaims"),
    ),
    cluster_role(
        "system:kube-dns",
        rule("list watch", "", "endpoints services"),
    ),
    cluster_role(
        "system:persistent-volume-provisioner",
        rule("create delete get list watch", "", "persistentvolumes"),
        rule("get list update watch", "", "persistentvolumeclaims"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule("watch", "", "events"), EVENT_RULE,
    ),
    cluster_role(
        "system:service-account-issuer-discovery",
        paths("get", "/.well-known/openid-configuration", "/.well-known/openid-configuration/",
              "/openid/v1/jwks", "/openid/v1/jwks/"),
    ),
    cluster_role(
        f"system:certificates.k8s.io:{CSR}:nodeclient",
        rule("create", CSR_GROUP, f"{CSR}/nodeclient"),
    ),
    cluster_role(
        f"system:certificates.k8s.io:{CSR}:selfnodeclient",
        rule("create", CSR_GROUP, f"{CSR}/selfnodeclient"),
    ),
    *(_approver(name) for name in (
        "legacy-unknown", "kubelet-serving", "kube-apiserver-client",
        "kube-apiserver-client-kubelet",
    )),
)  # fmt: skip

ROLES: Sequence[Obj] = (
    role(
        "kube-system",
        "extension-apiserver-authentication-reader",
        {**rule(READ, "", "configmaps"), "resourceNames": ["extension-apiserver-authentication"]},
    ),
    role("kube-system", "system:controller:bootstrap-signer", rule(READ, "", "secrets")),
    role(
        "kube-public",
        "system:controller:bootstrap-signer",
        rule(READ, "", "configmaps"),
        {**rule("update", "", "configmaps"), "resourceNames": ["cluster-info"]},
        EVENT_RULE,
        NEW_EVENT_RULE,
    ),
    role(
        "kube-system",
        "system:controller:cloud-provider",
        rule("create get list watch", "", "configmaps"),
    ),
    role(
        "kube-system",
        "system:controller:token-cleaner",
        rule(f"{READ} delete", "", "secrets"),
        EVENT_RULE,
        NEW_EVENT_RULE,
    ),
    *(_leader("kube-system", name) for name in ("kube-controller-manager", "kube-scheduler")),
    role(
        "kube-system",
        "edgek:cluster-info-viewer",
        {**rule(READ, "", "configmaps"), "resourceNames": ["edgek-cluster"]},
    ),
)
