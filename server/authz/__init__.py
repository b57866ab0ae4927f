"""May they: the authorizers and the order they are asked in.

``default_authorizers`` is that order: administrators without a look at any rule, then agents by
what runs on their node, then RBAC.
"""

from server.authz.authorizer import Authorizer
from server.authz.masters import Masters
from server.authz.node import NodeAuthorizer
from server.authz.rbac import RbacAuthorizer
from server.authz.union import Union
from server.request.reader import Reader


def default_authorizers(reader: Reader) -> Authorizer:
    return Union((Masters(), NodeAuthorizer(reader), RbacAuthorizer(reader)))
