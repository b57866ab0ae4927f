"""A flow schema tells whether its priority level is there."""

import pytest

from edgek.api.meta import Key
from edgek.kinds import FLOW_SCHEMA, PRIORITY_LEVEL
from edgek.kinds.flow_control import flow_spec
from server.controllers import flow_schema_status
from tests.support.loops import Loops, running
from tests.support.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def told(loops: Loops) -> tuple[str, str]:
    (schema,) = loops.api.all(FLOW_SCHEMA)
    (condition,) = schema["status"]["conditions"]
    return condition["status"], condition["message"].partition('named "gold" ')[2]


async def test_a_schema_dangles_while_its_level_is_missing() -> None:
    api = MemoryApi()
    api.put(FLOW_SCHEMA, {"metadata": {"name": "mine"}, "spec": flow_spec("gold", 7, {})})
    async with running(api, flow_schema_status.build) as loops:
        assert told(loops) == ("True", "but there is no such object")
        api.put(PRIORITY_LEVEL, {"metadata": {"name": "gold"}, "spec": {}})
        await loops.settle()
        assert told(loops) == ("False", "and it exists")
        writes = len(api.calls)
        await loops.settle()
        assert len(api.calls) == writes
        await api.client.delete(PRIORITY_LEVEL, Key("", "gold"))
        await loops.settle()
        assert told(loops) == ("True", "but there is no such object")
