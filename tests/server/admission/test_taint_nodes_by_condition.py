"""A new Node begins tainted."""

from edgek.api.taints import NOT_READY
from edgek.kinds import NODE
from server.admission.taint_nodes_by_condition import TaintNodesByCondition
from tests.support.api import admin, open_api


async def test_a_node_is_tainted_when_created_and_only_once() -> None:
    async with open_api(plugins=[TaintNodesByCondition()]) as api:
        client = admin(api)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
        made = await client.create(NODE, node)
        taint = {"key": NOT_READY, "effect": "NoSchedule"}
        assert made["spec"]["taints"] == [taint]
        healthy = await client.update(NODE, {**made, "spec": {}})
        assert "taints" not in healthy["spec"]
        again = await client.create(
            NODE, {**node, "metadata": {"name": "m"}, "spec": {"taints": [taint]}}
        )
        assert again["spec"]["taints"] == [taint]
