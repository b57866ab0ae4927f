"""ClusterRole aggregation: a role with an aggregationRule has the rules of all it selects.

As pkg/controller/clusterroleaggregation: rules of other roles come and go with them, and what
anybody writes into the rules of such a role is undone.
"""

from collections.abc import Iterable, Sequence

from edgek.api.meta import Key, Obj, key_of
from edgek.control.controller import DONE, Context, Mapped, Result, Watch
from edgek.kinds import CLUSTER_ROLE
from edgek.kinds.aggregation import aggregated_rules, is_aggregated


def build(context: Context) -> "ClusterRoleAggregator":
    return ClusterRoleAggregator(context)


class ClusterRoleAggregator:
    """Any role may be part of any aggregated one, so each change looks at all of those: there
    are three of them, and roles change seldom."""

    name = "clusterrole-aggregation-controller"
    kind = CLUSTER_ROLE

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._roles = context.informers.get(CLUSTER_ROLE)
        self.watches: Sequence[Watch] = (Mapped(CLUSTER_ROLE, self._aggregated),)

    async def reconcile(self, key: Key) -> Result:
        role = self._roles.get(key)
        if role is None or not is_aggregated(role):
            return DONE
        rules = aggregated_rules(role, self._roles.list())
        if rules != (role.get("rules") or []):
            await self._client.update(CLUSTER_ROLE, {**role, "rules": rules})
        return DONE

    def _aggregated(self, changed: Obj) -> Iterable[Key]:
        return [key_of(role) for role in self._roles.list() if is_aggregated(role)]
