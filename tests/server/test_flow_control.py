"""What a cluster starts with of flow control."""

from edgek.api.meta import deep_copy, key_of
from edgek.kinds import FLOW_SCHEMA, PRIORITY_LEVEL
from server.flow_control import FLOWS, LEVELS, flow_control_objects
from tests.support.api import admin, open_api


async def test_all_of_it_is_taken_as_it_is() -> None:
    async with open_api() as api:
        client = admin(api)
        for kind, obj in flow_control_objects():
            created = await client.create(kind, deep_copy(obj))
            assert created["spec"] == obj["spec"], key_of(obj)
            assert await client.update(kind, deep_copy(created)) == created


def test_every_flow_leads_to_a_level() -> None:
    named = {flow["priorityLevelConfiguration"]["name"] for flow in FLOWS.values()}
    assert named == set(LEVELS)


def test_mandatory_objects_come_with_their_levels_first() -> None:
    made = [(kind, obj["metadata"]["name"]) for kind, obj in flow_control_objects()]
    assert made[0] == (PRIORITY_LEVEL, "exempt")
    assert (FLOW_SCHEMA, "catch-all") in made[len(LEVELS) :]
    assert len(set(made)) == len(made) == len(LEVELS) + len(FLOWS)
