"""Names of users and groups that mean something to authentication, authorization and admission."""

from edgek.api.validation import is_dns1123_label, is_dns1123_subdomain
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
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
"""Which credential was shown, in the extra of a user: by it the audit log tells them apart."""


def node_of(user: User) -> str:
    """The node this user is the agent of; "" for everyone else."""
    if not user.name.startswith(NODE_PREFIX) or NODES not in user.groups:
        return ""
    return user.name.removeprefix(NODE_PREFIX)


def service_account_user(namespace: str, name: str) -> str:
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def account_of(user_name: str) -> tuple[str, str] | None:
    """(namespace, name) of the service account that a user name stands for."""
    namespace, colon, name = user_name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    ours = user_name.startswith(SERVICE_ACCOUNT_PREFIX) and colon and ":" not in name
    if not ours or is_dns1123_label(namespace) or is_dns1123_subdomain(name):
        return None
    return namespace, name


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
