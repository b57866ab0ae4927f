"""Images on a node in memory: whose pull it is, what is told of it, and how it ends."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.pods.image_credentials import Auth, credentials, fits
from agent.pods.images import INSPECT_AGAIN, Images, NotThere
from agent.pods.pull_records import PullRecords
from agent.runtime.fake import FakeRuntime
from agent.runtime.reference import is_reference
from agent.runtime.runtime import Image, RuntimeFailure
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from edgek.api.time import go_duration

ALI: Auth = {"username": "ali", "password": "x"}
EVE: Auth = {"username": "eve", "password": "y"}


@dataclass
class Bench:
    runtime: FakeRuntime
    images: Images
    clock: FakeClock
    told: list[tuple[str, str, str]] = field(default_factory=list)
    """(pod, reason, message)"""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(
        self, uid: str, image: str, *auths: Auth, policy: str = "IfNotPresent", attempt: int = 0
    ) -> Image | NotThere:
        container = {"name": "main", "image": image, "imagePullPolicy": policy}

        def tell(kind: str, reason: str, message: str) -> None:
            self.told.append((uid, reason, message))

        return await self.images.ensure(uid, container, attempt=attempt, auths=auths, tell=tell)

    async def get(self, uid: str, image: str, *auths: Auth, **how: str) -> Image:
        """Once it is there."""
        async with asyncio.timeout(10_000):
            while isinstance(found := await self.ask(uid, image, *auths, **how), NotThere):  # type: ignore[arg-type]
                self.changed.clear()
                await self.changed.wait()
        return found

    async def why_not(self, uid: str, image: str, *auths: Auth, **how: str) -> str:
        found = await self.ask(uid, image, *auths, **how)  # type: ignore[arg-type]
        assert isinstance(found, NotThere)
        return found.waiting.reason

    def of(self, uid: str) -> list[tuple[str, str]]:
        return [(reason, text) for who, reason, text in self.told if who == uid]

    def pulls(self) -> list[str]:
        return [what for verb, what in self.runtime.calls if verb == "pull"]


@asynccontextmanager
async def bench(*, parallel: int = 2, records: PullRecords | None = None) -> AsyncIterator[Bench]:
    runtime, clock = FakeRuntime(), FakeClock()
    async with Tasks("test") as tasks:
        made: list[Bench] = []
        images = Images(
            runtime, tasks, clock=clock, changed=lambda uid: made[0].changed.set(),
            parallel=parallel, records=records,
        )  # fmt: skip
        made.append(Bench(runtime=runtime, images=images, clock=clock))
        yield made[0]


@pytest.mark.looptime
async def test_all_that_wait_for_an_image_share_its_pull_and_are_told_of_it() -> None:
    async with bench() as on:
        on.runtime.registry.add("app:1")
        on.runtime.pull_seconds["app:1"] = 1.5
        await asyncio.gather(on.get("a", "app:1"), on.get("b", "app:1", policy="Always"))
        assert on.pulls() == ["app:1"]
        for uid in ("a", "b"):
            pulling, pulled = on.of(uid)
            assert pulling == ("Pulling", 'Pulling image "app:1"')
            assert pulled == ("Pulled", 'Successfully pulled image "app:1" in 1.5s (1.5s including '
                              "waiting). Image size: 1000000 bytes.")  # fmt: skip
        await on.get("b", "app:1", policy="Always")
        assert len(on.pulls()) == 2  # the next attempt looks whether the tag has moved


@pytest.mark.looptime
async def test_a_long_pull_is_told_of_three_times_and_no_more() -> None:
    async with bench() as on:
        on.runtime.registry.add("app:1")
        on.runtime.pull_seconds["app:1"] = 3000
        await on.get("a", "app:1")
        notes = [text for _, text in on.of("a") if text.startswith("Still")]
        assert [text.split(":1")[1] for text in notes] == [
            '" after 30s: 1 MB received and not yet unpacked',
            '" after 2m0s: 1 MB received and not yet unpacked',
            '" after 10m0s: 1 MB received and not yet unpacked',
        ]


@pytest.mark.looptime
async def test_pulls_take_turns_and_one_that_nobody_wants_ends() -> None:
    async with bench(parallel=1) as on:
        for name in ("app:1", "app:2"):
            on.runtime.registry.add(name)
            on.runtime.pull_seconds[name] = 100
        await on.ask("a", "app:1")
        second = asyncio.create_task(on.get("b", "app:2"))
        await asyncio.sleep(50)
        assert on.runtime.pulling == {"app:1"}
        on.images.forget("a")
        await asyncio.sleep(1)
        assert on.runtime.pulling == {"app:2"}
        await second
        assert " in 1m40s (2m30s including waiting)." in on.of("b")[-1][1]


@pytest.mark.looptime
@pytest.mark.parametrize("reason", ["ErrImagePull", "RegistryUnavailable"])
async def test_a_failure_is_shown_by_its_reason_and_then_as_back_off(reason: str) -> None:
    async with bench() as on:
        on.runtime.fail_next("pull", RuntimeFailure("no such thing", reason=reason))
        assert await on.why_not("a", "app:1") == "ContainerCreating"
        await on.changed.wait()
        assert await on.why_not("a", "app:1") == reason
        assert ("Failed", f"Error: {reason}") in on.of("a")
        await asyncio.sleep(3)
        found = await on.ask("a", "app:1")
        assert isinstance(found, NotThere)
        assert found.waiting.reason == "ImagePullBackOff"
        assert found.waiting.message == (f'Back-off pulling image "app:1": {reason}: no such thing')
        on.runtime.add_image("app:1")  # imported by hand
        on.images.came()
        assert isinstance(await on.ask("a", "app:1"), Image)


@pytest.mark.looptime
async def test_who_has_the_wrong_credentials_makes_nobody_else_wait() -> None:
    async with bench() as on:
        on.runtime.registry.add("app:1")
        on.runtime.locked["app:1"] = ALI
        await on.ask("eve", "app:1", EVE)
        await asyncio.sleep(1)
        assert await on.why_not("eve", "app:1", EVE) == "ErrImagePull"
        await on.get("ali", "app:1", EVE, ALI)  # the second of two fits


@pytest.mark.looptime
async def test_an_image_pulled_with_credentials_is_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "pulls.json"
    async with bench(records=PullRecords(file)) as on:
        on.runtime.registry |= {"app:1", "open:1"}
        on.runtime.locked["app:1"] = ALI
        await on.get("ali", "app:1", ALI)
        await on.get("ali", "open:1")
        assert await on.why_not("eve", "app:1", policy="Never") == "ErrImageNeverPull"
        assert "does not have the proper auth" in on.of("eve")[0][1]
        assert await on.why_not("eve", "app:1", EVE) == "ContainerCreating"  # it must pull itself
        assert isinstance(await on.ask("ali2", "app:1", ALI, policy="Never"), Image)
        assert isinstance(await on.ask("eve", "open:1", policy="Never"), Image)
    again = PullRecords(file)  # as the next agent reads it
    (image_id,) = json.loads(file.read_text())
    assert not again.may_use(image_id, (EVE, {}))
    assert again.may_use(image_id, (ALI,))
    assert "ali" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    await again.keep(())
    assert json.loads(file.read_text()) == {}


@pytest.mark.looptime
async def test_what_cannot_be_pulled_is_told_once() -> None:
    async with bench() as on:
        for _ in range(3):
            assert await on.why_not("a", "app:1", policy="Never") == "ErrImageNeverPull"
            assert await on.why_not("b", "No/Such:Name") == "InvalidImageName"
        assert [reason for reason, _ in on.of("a")] == ["ErrImageNeverPull", "Failed"]
        assert on.of("b") == [
            ("InspectFailed", 'Failed to apply default image tag "No/Such:Name": couldn\'t parse '
             'image name "No/Such:Name": invalid reference format'),
            ("Failed", "Error: InvalidImageName"),
        ]  # fmt: skip
        assert on.pulls() == []
        on.changed.clear()
        on.runtime.add_image("app:1")
        on.images.came()
        assert on.changed.is_set()


@pytest.mark.looptime
async def test_an_image_that_stays_damaged_is_removed_and_fetched_anew() -> None:
    async with bench() as on:
        on.runtime.add_image("app:1")
        on.runtime.registry.add("app:1")
        on.runtime.fail_next("remove_image", RuntimeFailure("image used by a container"))
        left = []
        for _ in range(11):
            on.runtime.fail_next("find_image", RuntimeFailure("layer not known"))
            assert await on.why_not("a", "app:1") == "ImageInspectError"
            left.append(len(await on.runtime.images()))
            on.clock.advance(INSPECT_AGAIN.total_seconds())
        assert left == [1] * 9 + [0] * 2
        await on.get("a", "app:1")
        assert on.pulls() == ["app:1"]
        assert on.of("a")[:2] == [
            ("InspectFailed", 'Failed to inspect image "app:1": layer not known'),
            ("Failed", "Error: ImageInspectError"),
        ]


@pytest.mark.looptime
async def test_an_image_is_kept_where_it_is_the_disk_that_fails() -> None:
    async with bench() as on:
        on.runtime.add_image("app:1")
        for _ in range(20):
            full = RuntimeFailure("write /var/lib/x: no space left on device")
            on.runtime.fail_next("find_image", full)
            assert await on.why_not("a", "app:1") == "ImageInspectError"
            on.clock.advance(INSPECT_AGAIN.total_seconds())
        await on.get("a", "app:1")
        assert on.pulls() == []


@pytest.mark.parametrize(
    ("entry", "image", "fit"),
    [
        ("example.com", "example.com/a/b", True),
        ("example.com/a", "example.com/a/b", True),
        ("example.com/b", "example.com/a/b", False),
        ("*.example.com", "eu.example.com/a", True),
        ("*.example.com", "example.com/a", False),
        ("*.example.com", "a.eu.example.com/a", False),
        ("r*.example.com", "registry.example.com/a", True),
        ("example.com:5000", "example.com/a", False),
        ("example.com:5000", "example.com:5000/a", True),
        ("example.com", "example.com:5000/a", False),
        ("example.com", "another.com/a", False),
    ],
)
def test_an_entry_fits_by_host_port_and_path(entry: str, image: str, fit: bool) -> None:
    assert fits(entry, image) is fit


def secret(auths: Obj, *, old: bool = False) -> Obj:
    key, value = (".dockercfg", auths) if old else (".dockerconfigjson", {"auths": auths})
    return {"data": {key: base64.b64encode(json.dumps(value).encode()).decode()}}


def user(name: str) -> Obj:
    return {"auth": base64.b64encode(f"{name}:p:w".encode()).decode()}


def test_the_most_specific_credentials_come_first_and_docker_hub_has_names_of_its_own() -> None:
    secrets = [
        secret({"https://example.com/v1/": user("host"), "example.com/team": user("team")}),
        secret({"example.com/team": user("old")}, old=True),
        secret({"https://index.docker.io/v1/": {"username": "hub", "password": "p"}}),
        {"data": {".dockerconfigjson": "no base64!"}},
        secret({"example.com": {"auth": "%%%"}}),
    ]
    assert [a["username"] for a in credentials(secrets, "example.com/team/app")] == [
        "team", "old", "host",
    ]  # fmt: skip
    assert credentials(secrets, "example.com/x")[0]["password"] == "p:w"
    assert [a["username"] for a in credentials(secrets, "busybox")] == ["hub"]
    assert [a["username"] for a in credentials(secrets, "me/app:2")] == ["hub"]
    assert credentials(secrets, "quay.io/app") == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("busybox", True),
        ("localhost:5000/a/b-c__d.e:Tag_1", True),
        ("[fd00::1]:5000/a", True),
        ("a@sha256:" + "0" * 64, True),
        ("0" * 64, True),
        ("Upper", False),
        ("a//b", False),
        ("a:", False),
        ("a b", False),
        ("-a", False),
        ("http://a/b", False),
    ],
)
def test_names_of_images_follow_the_grammar(text: str, good: bool) -> None:
    assert is_reference(text) is good


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0251, "25ms"), (1, "1s"), (1.2345, "1.234s"), (62.5, "1m2.5s"),
     (3600, "1h0m0s")],
)  # fmt: skip
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
