"""ReplicationController: keeps as many pods of its template as spec.replicas says.

Owns Pods, as a ReplicaSet does: replicaset.py is the logic of both, as
pkg/controller/replication is an adapter around pkg/controller/replicaset.
"""

from edgek.control.controller import Context
from edgek.kinds import REPLICATION_CONTROLLER
from server.controllers.replicaset import ReplicaSetController


def build(context: Context) -> ReplicaSetController:
    return ReplicaSetController(
        context,
        REPLICATION_CONTROLLER,
        name="replicationcontroller-controller",
        source="replication-controller",
    )
