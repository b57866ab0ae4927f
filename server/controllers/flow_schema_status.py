"""Flow schemas: each says in its status whether the priority level it names exists.

One that dangles matches no request (server/filters/flows.py). As the config consumer of
apiserver pkg/util/flowcontrol.
"""

from collections.abc import Iterable, Sequence

from edgek.api.conditions import Condition, with_condition
from edgek.api.meta import Key, Obj, get_path, key_of, name
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import FLOW_SCHEMA, PRIORITY_LEVEL


def level_of(schema: Obj) -> str:
    return str(get_path(schema, "spec", "priorityLevelConfiguration", "name", default=""))


def dangling(level: str, *, exists: bool) -> Condition:
    subject = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if exists:
        return {
            "type": "Dangling",
            "status": "False",
            "reason": "Found",
            "message": f"{subject} and it exists",
        }
    return {
        "type": "Dangling",
        "status": "True",
        "reason": "NotFound",
        "message": f"{subject} but there is no such object",
    }


class FlowSchemaStatus:
    name = "flow-schema-status-controller"
    kind = FLOW_SCHEMA

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._schemas = context.informers.get(FLOW_SCHEMA)
        self._levels = context.informers.get(PRIORITY_LEVEL)
        self.watches: Sequence[Watch] = (
            ForKind(FLOW_SCHEMA),
            Mapped(PRIORITY_LEVEL, self._naming, when=lambda old, new: None in (old, new)),
        )

    def _naming(self, level: Obj) -> Iterable[Key]:
        return [key_of(s) for s in self._schemas.list() if level_of(s) == name(level)]

    async def reconcile(self, key: Key) -> Result:
        schema = self._schemas.get(key)
        if schema is None:
            return DONE
        level = level_of(schema)
        condition = dangling(level, exists=self._levels.get(Key("", level)) is not None)
        status = schema.get("status") or {}
        now = format_time(self._clock.now())
        conditions = with_condition(status.get("conditions"), condition, now=now)
        if conditions != status.get("conditions"):
            status = {**status, "conditions": conditions}
            await self._client.update_status(FLOW_SCHEMA, {**schema, "status": status})
        return DONE


def build(context: Context) -> FlowSchemaStatus:
    return FlowSchemaStatus(context)
