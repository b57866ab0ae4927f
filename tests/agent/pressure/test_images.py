"""Which images go, in which order, and what is told."""

from pathlib import Path

import pytest

from agent.kubelet_args import ImageGcPolicy
from agent.pods.store import Containers, Pods
from agent.pressure.dead import plan_dead
from agent.pressure.images import ImageCollector, Record, bytes_to_free, names_of, plan_images
from agent.runtime.fake import FakeRuntime
from agent.runtime.runtime import Container, Image
from edgek.aio.clock import FakeClock
from tests.support.pods import make_pod

POLICY = ImageGcPolicy()


def image(name: str, **more: object) -> Image:
    names = (f"docker.io/library/{name}",)
    return Image(id=name, names=names, size_bytes=100, **more)  # type: ignore[arg-type]


def test_the_least_recently_used_goes_first_and_what_is_in_use_pinned_or_young_stays() -> None:
    images = [
        image("later"), image("sooner"), image("unknown"), image("used"), image("named"),
        image("pinned", pinned=True), image("young"), image("of-others", containers=1),
    ]  # fmt: skip
    records = {
        "later": Record(pulled=10, used=500),
        "sooner": Record(pulled=20, used=400),
        "young": Record(pulled=950, used=1),
    }
    used = frozenset({"used", "docker.io/library/named"})
    found = plan_images(images, records, used=used, now=1000, policy=POLICY)
    assert [i.id for i in found] == ["unknown", "sooner", "later"]


@pytest.mark.parametrize(
    ("available", "wanted"), [(160, 0), (159, 41), (150, 50), (10, 190), (0, 200)]
)
def test_above_the_high_threshold_it_is_freed_down_to_the_low_one(
    available: int, wanted: int
) -> None:
    assert bytes_to_free(capacity=1000, available=available, policy=POLICY) == wanted


def test_a_pod_that_has_not_started_yet_keeps_its_image() -> None:
    pod = make_pod("web")
    pod["spec"]["containers"][0]["image"] = "busybox"
    assert names_of([pod]) == {"docker.io/library/busybox:latest"}
    assert not names_of([pod | {"status": {"phase": "Failed"}}])


def dead(attempt: int, *, state: str = "exited") -> Container:
    labels = {"io.edgek.container-name": "main", "io.edgek.attempt": str(attempt)}
    return Container(id=str(attempt), name=str(attempt), state=state, labels=labels)


def test_the_latest_attempt_stays_unless_its_pod_is_over() -> None:
    attempts = [dead(0), dead(1), dead(2)]
    assert {c.id for c in plan_dead(attempts, over=False)} == {"0", "1"}
    assert {c.id for c in plan_dead(attempts, over=True)} == {"0", "1", "2"}
    assert plan_dead([dead(1, state="running")], over=True) == []


class Bench:
    def __init__(self, *images: str, policy: ImageGcPolicy = POLICY) -> None:
        self.clock = FakeClock()
        self.runtime = FakeRuntime(images=images, clock=self.clock)
        self.containers = Containers(self.runtime)
        self.told: list[str] = []
        self.collector = ImageCollector(
            runtime=self.runtime,
            pods=Pods(lambda uid: None),
            containers=self.containers,
            policy=policy,
            clock=self.clock,
            root=Path("/"),
            tell=lambda reason, message: self.told.append(reason),
        )

    async def left(self) -> list[str]:
        return sorted(i.names[0] for i in await self.runtime.images())


async def test_what_is_freed_is_no_more_than_wanted() -> None:
    bench = Bench("a:1", "b:1", "c:1")
    done = await bench.collector.free(1_500_000)  # an image is a million bytes
    assert (done.removed, len(await bench.left())) == (2, 1)


@pytest.mark.parametrize("who", ["kept", "mounted"])
async def test_an_image_that_is_mounted_or_in_hand_stays_though_no_pod_names_it(who: str) -> None:
    bench = Bench("moved:1", "b:1")
    (_, moved) = sorted(await bench.runtime.images(), key=lambda i: i.names)
    setattr(bench.collector, who, lambda: frozenset({moved.id}))
    assert (await bench.collector.prune())[0] == 1
    assert await bench.left() == ["moved:1"]


async def test_an_image_whose_container_is_gone_is_the_last_to_go() -> None:
    bench = Bench("a:1", "b:1")
    (a, b) = sorted(await bench.runtime.images(), key=lambda i: i.names)
    bench.clock.advance(1000)
    bench.collector.dropped(Container(id="1", name="x", state="exited", labels={}, image_id=a.id))
    await bench.collector.free(1)
    assert await bench.left() == ["a:1"]
    assert b.id != a.id


async def test_age_removes_only_what_was_unused_that_long() -> None:
    bench = Bench("a:1", "b:1", policy=ImageGcPolicy(max_age=3600))
    (a, _) = sorted(await bench.runtime.images(), key=lambda i: i.names)
    bench.clock.advance(3000)
    assert (await bench.collector.free_old()).removed == 0  # it has not run that long
    bench.collector.dropped(Container(id="1", name="x", state="exited", labels={}, image_id=a.id))
    bench.clock.advance(3000)
    assert (await bench.collector.free_old()).removed == 1
    assert await bench.left() == ["a:1"]
