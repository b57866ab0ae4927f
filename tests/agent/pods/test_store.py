"""What is remembered of containers while the engine is asked for all of them."""

import asyncio

from agent.pods.state import POD_UID
from agent.pods.store import Containers
from agent.runtime.fake import FakeRuntime
from agent.runtime.runtime import Container, ContainerSpec, Namespaces


class SlowList(FakeRuntime):
    """Its list is as old as the call, and comes when ``answer`` is set."""

    def __init__(self) -> None:
        super().__init__(images=("a",))
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def containers(self) -> list[Container]:
        found = await super().containers()
        self.asked.set()
        await self.answer.wait()
        return found

    async def make(self, name: str) -> str:
        where = Namespaces(net="host", ipc="host", uts="host")
        return await self.create(
            ContainerSpec(
                name=name,
                image="a",
                namespaces=where,
                cgroup_parent="/x",
                log_path="/x",
                labels={POD_UID: "u"},
            )
        )


async def test_what_is_made_or_removed_during_a_listing_is_not_lost_to_it() -> None:
    runtime = SlowList()
    containers = Containers(runtime)
    old = await runtime.make("old")
    listing = asyncio.create_task(containers.list())
    await runtime.asked.wait()
    new = await runtime.make("new")
    await containers.look(new)
    await runtime.remove(old)
    containers.drop(old)
    runtime.answer.set()
    await listing
    assert [c.id for c in containers.of("u")] == [new]
