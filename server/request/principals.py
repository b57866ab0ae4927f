"""Names of users and groups that mean something to authentication, authorization and admission."""

from server.request.model import User

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
BOOTSTRAPPERS = "system:bootstrappers"
AGENT_BOOTSTRAPPERS = "system:bootstrappers:edgek:agent"
SERVICE_ACCOUNTS = "system:serviceaccounts"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"


def node_of(user: User) -> str:
    """The node this user is the agent of; "" for everyone else."""
    if not user.name.startswith(NODE_PREFIX) or NODES not in user.groups:
        return ""
    return user.name.removeprefix(NODE_PREFIX)


def service_account_user(namespace: str, name: str) -> str:
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"
