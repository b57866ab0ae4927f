"""The controllers: each keeps one promise about the cluster, level-based and idempotent.

``ALL`` is the list of them; each module's ``build(context)`` makes its reconciler. They are
plain API clients: nothing here reaches the registry or the store.
"""

from edgek.control.controller import Builder, Context
from edgek.control.controller import run_controllers as _run
from server.controllers import daemonset, deployment, garbage_collector, namespace, replicaset

ALL: tuple[Builder, ...] = (
    namespace.build,
    garbage_collector.build,
    deployment.build,
    replicaset.build,
    daemonset.build,
)


async def run_controllers(context: Context, builders: tuple[Builder, ...] = ALL) -> None:
    """Runs until cancelled; raises where a controller's engine dies."""
    await _run(context, builders)
