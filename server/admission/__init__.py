"""Should it be: the admission plugins and, in ``default_plugins``, the order they run in.

A plugin sees an operation that authentication and authorization have let through and may change
the object or refuse it. Its reads go through a Reader; it never writes other objects.
"""

from collections.abc import Sequence

from server.admission.chain import Plugin
from server.admission.default_toleration_seconds import DefaultTolerationSeconds
from server.admission.namespace_lifecycle import NamespaceLifecycle
from server.admission.node_restriction import NodeRestriction
from server.admission.service_account import ServiceAccount
from server.request.reader import Reader


def default_plugins(reader: Reader) -> Sequence[Plugin]:
    """In upstream's order (kubeapiserver/options/plugins.go), as far as we have them."""
    return (
        NamespaceLifecycle(reader),
        ServiceAccount(reader),
        NodeRestriction(reader),
        DefaultTolerationSeconds(),
    )
