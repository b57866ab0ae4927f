"""Who has the default roles, as data; upstream's bindings and our own under ``edgek:``."""

from collections.abc import Sequence

from edgek.api.meta import Obj
from server.authz.policy import account, binding, cluster_binding, group, user
from server.request.principals import (
    AGENT_BOOTSTRAPPERS,
    AUTHENTICATED,
    CONTROLLER_MANAGER,
    MASTERS,
    NODES,
    SCHEDULER,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
)

_NODE_CSR = "system:certificates.k8s.io:certificatesigningrequests:"
_EVERYONE = (group(AUTHENTICATED), group(UNAUTHENTICATED))

CLUSTER_ROLE_BINDINGS: Sequence[Obj] = (
    cluster_binding("cluster-admin", "cluster-admin", group(MASTERS)),
    cluster_binding("system:monitoring", "system:monitoring", group("system:monitoring")),
    cluster_binding("system:discovery", "system:discovery", group(AUTHENTICATED)),
    cluster_binding("system:basic-user", "system:basic-user", group(AUTHENTICATED)),
    cluster_binding("system:public-info-viewer", "system:public-info-viewer", *_EVERYONE),
    cluster_binding("edgek:join-info-viewer", "edgek:join-info-viewer", *_EVERYONE),
    cluster_binding("system:node", "system:node"),  # for nobody: the Node authorizer is closer
    cluster_binding("system:node-proxier", "system:node-proxier", user("system:kube-proxy")),
    cluster_binding("edgek:node-proxier", "system:node-proxier", group(NODES)),
    cluster_binding(
        "edgek:node-bootstrapper", "system:node-bootstrapper", group(AGENT_BOOTSTRAPPERS)
    ),
    cluster_binding(
        "edgek:node-autoapprove-bootstrap", f"{_NODE_CSR}nodeclient", group(AGENT_BOOTSTRAPPERS)
    ),
    cluster_binding(
        "edgek:node-autoapprove-certificate-rotation", f"{_NODE_CSR}selfnodeclient", group(NODES)
    ),
    cluster_binding(
        "system:kube-controller-manager", "system:kube-controller-manager", user(CONTROLLER_MANAGER)
    ),
    cluster_binding("system:kube-scheduler", "system:kube-scheduler", user(SCHEDULER)),
    cluster_binding("system:volume-scheduler", "system:volume-scheduler", user(SCHEDULER)),
    cluster_binding("system:kube-dns", "system:kube-dns", account("kube-system", "kube-dns")),
    cluster_binding(
        "system:cluster-trust-bundle-discovery",
        "system:cluster-trust-bundle-discovery",
        group(SERVICE_ACCOUNTS),
    ),
    cluster_binding(
        "system:service-account-issuer-discovery",
        "system:service-account-issuer-discovery",
        group(SERVICE_ACCOUNTS),
    ),
)

ROLE_BINDINGS: Sequence[Obj] = (
    binding(
        "kube-system",
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        user(CONTROLLER_MANAGER),
        user(SCHEDULER),
    ),
    *(
        binding(
            "kube-system",
            f"system::leader-locking-{name}",
            f"system::leader-locking-{name}",
            user(f"system:{name}"),
            account("kube-system", name),
        )
        for name in ("kube-controller-manager", "kube-scheduler")
    ),
    *(
        binding(
            namespace,
            f"system:controller:{name}",
            f"system:controller:{name}",
            account("kube-system", name),
        )
        for namespace, name in (
            ("kube-public", "bootstrap-signer"),
            ("kube-system", "bootstrap-signer"),
            ("kube-system", "cloud-provider"),
            ("kube-system", "token-cleaner"),
        )
    ),
    binding("kube-system", "edgek:cluster-info-viewer", "edgek:cluster-info-viewer", group(NODES)),
)
