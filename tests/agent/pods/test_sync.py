"""Pods on a node in memory, from their binding to their end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.network.fake import FakeNetwork
from agent.runtime.fake import FakeRuntime, Script
from agent.runtime.runtime import ExecResult, RuntimeFailure
from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj
from edgek.kinds import CONFIG_MAP, POD
from tests.support.memory_api import MemoryApi
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime


def verbs(node: Node, *wanted: str) -> list[str]:
    return [verb for verb, _ in node.runtime.calls if verb in wanted]


def is_running(node: Node, name: str = "web") -> bool:
    return node.pod(name) is not None and node.status(name).get("phase") == "Running"


async def test_a_bound_pod_runs_and_its_events_tell_the_story(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        await node.until(lambda: "Started" in node.reasons())
        assert node.status()["podIP"].startswith("10.")
        assert node.reasons() == ["Pulled", "Created", "Started"]
        assert node.messages("Started") == ["Container started"]
        spec = next(iter(node.runtime.specs.values()))
        assert spec.log_path.endswith("/default_web_uid-web/main/0.log")
        assert {m.target for m in spec.mounts} == {
            "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/dev/termination-log",
        }  # fmt: skip
        assert (tmp_path / "pods/uid-web/etc/resolv.conf").read_text().splitlines()[0] == (
            "search default.svc.cluster.local svc.cluster.local cluster.local"
        )


async def test_a_crash_is_restarted_at_once_and_then_with_growing_pauses(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.scripts["main:1"] = Script(exit_code=1, after=1)
        node.api.put(POD, make_pod())
        await node.until(lambda: node.pod() and node.container().get("restartCount") == 1)
        await node.until(
            lambda: node.container()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        )
        assert node.container()["lastState"]["terminated"]["exitCode"] == 1
        await node.until(lambda: node.container()["restartCount"] == 3, within=60)
        assert "BackOff" in node.reasons()


async def test_a_job_like_pod_ends_succeeded_and_gives_its_address_back(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.scripts["main:1"] = Script(exit_code=0, after=2)
        node.api.put(POD, make_pod(restartPolicy="Never"))
        await node.until(lambda: node.pod() and node.status()["phase"] == "Succeeded")
        await node.until(lambda: not (tmp_path / "pods/uid-web").exists())
        assert await node.network.sandboxes() == {}
        assert node.container()["state"]["terminated"]["reason"] == "Completed"
        assert len(await node.runtime.containers()) == 1  # its logs stay readable


async def test_a_deleted_pod_stops_within_its_grace_and_leaves_nothing(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        node.delete(grace=5)
        await node.until(lambda: node.pod() is None)
        assert await node.runtime.containers() == []
        assert await node.network.sandboxes() == {}
        assert not (tmp_path / "pods/uid-web").exists()
        assert node.messages("Killing") == ["Stopping container main"]


async def test_a_pod_taken_from_the_api_by_force_is_ended_too(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        node.api.remove(POD, "default", "web")
        await node.until(lambda: ("remove", "edgek_main_web_default_uid-web_0")
                         in node.runtime.calls)  # fmt: skip
        await node.until(lambda: not (tmp_path / "pods/uid-web").exists())


async def test_a_restarted_agent_adopts_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    runtime, network = FakeRuntime(images=("main:1",), clock=clock), FakeNetwork()
    api = MemoryApi()
    async with running_node(
        tmp_path, clock=clock, api=api, runtime=runtime, network=network
    ) as node:
        api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
    runtime.calls.clear()
    writes = len(api.writes)
    async with running_node(
        tmp_path, clock=clock, api=api, runtime=runtime, network=network
    ) as node:
        await node.until(lambda: ("containers", "") in runtime.calls)
        await node.until(lambda: node.sync.parts.queue.idle)
        assert verbs(node, "create", "start", "stop", "remove") == []
        assert len(api.writes) == writes
        (container,) = await runtime.containers()
        runtime.end(container.id, exit_code=1)
        await node.until(lambda: node.container()["restartCount"] == 1)


async def test_containers_that_ended_while_the_agent_was_away_are_restarted(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    runtime, network, api = FakeRuntime(images=("main:1",), clock=clock), FakeNetwork(), MemoryApi()
    async with running_node(
        tmp_path, clock=clock, api=api, runtime=runtime, network=network
    ) as node:
        api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
    (container,) = await runtime.containers()
    runtime.end(container.id, exit_code=3)
    async with running_node(
        tmp_path, clock=clock, api=api, runtime=runtime, network=network
    ) as node:
        await node.until(lambda: node.container()["restartCount"] == 1)
        assert node.container()["lastState"]["terminated"]["exitCode"] == 3


async def test_a_pod_from_the_checkpoint_starts_with_no_server(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock(), restored=[make_pod()]) as node:
        await node.until(lambda: verbs(node, "start"))


async def test_orphans_are_left_alone_until_the_server_has_spoken(tmp_path: Path) -> None:
    clock = FakeClock()
    runtime, api = FakeRuntime(images=("main:1",), clock=clock), MemoryApi()
    async with running_node(tmp_path, clock=clock, api=api, runtime=runtime) as node:
        api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
    api.remove(POD, "default", "web")
    async with running_node(tmp_path, clock=clock, api=api, runtime=runtime, restored=[]) as node:
        await node.until(lambda: ("containers", "") in runtime.calls)
        await node.until(lambda: node.sync.parts.queue.idle)
        assert len(await runtime.containers()) == 1
        node.sync.parts.pods.sync([])
        node.sync.look_at_all()
        await node.until(lambda: verbs(node, "remove"))


async def test_a_missing_image_is_told_and_backs_off_until_it_can_be_pulled(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        pod = make_pod("web", "late")
        node.api.put(POD, pod)

        def waiting() -> str:
            reason: str = node.container().get("state", {}).get("waiting", {}).get("reason", "")
            return reason

        await node.until(lambda: waiting() == "ErrImagePull")
        await node.until(lambda: waiting() == "ImagePullBackOff")
        node.runtime.registry.add("late:1")
        await node.until(lambda: is_running(node), within=60)
        assert {"Pulling", "Failed", "BackOff"} <= set(node.reasons())


async def test_a_pod_that_the_server_names_waits_for_its_services(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        services: list[Obj] = []
        host = node.sync.parts.host
        host.services, host.services_known = lambda: services, lambda: bool(services)
        node.api.put(POD, make_pod())
        await asyncio.sleep(5)
        assert verbs(node, "create") == []
        spec = {"clusterIP": "10.43.0.1", "ports": [{"port": 443}]}
        services.append({"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": spec})
        await node.until(lambda: is_running(node), within=2)


async def test_a_missing_config_map_holds_the_pod_back_and_its_change_is_seen(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        pod = make_pod(volumes=[{"name": "conf", "configMap": {"name": "conf"}}])
        pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "conf", "mountPath": "/conf"}]
        node.api.put(POD, pod)
        await node.until(lambda: "FailedMount" in node.reasons())
        assert node.messages("FailedMount") == [
            'MountVolume.SetUp failed for volume "conf" : configmap "conf" not found'
        ]
        meta = {"name": "conf", "namespace": "default"}
        node.api.put(CONFIG_MAP, {"metadata": meta, "data": {"a": "1"}})
        await node.until(lambda: is_running(node))
        file = tmp_path / "pods/uid-web/volumes/configMap/conf/a"
        assert file.read_text() == "1"
        node.api.put(CONFIG_MAP, {"metadata": meta, "data": {"a": "2"}})
        await node.until(lambda: file.read_text() == "2")
        assert len(verbs(node, "create")) == 1


async def test_a_container_that_will_not_start_says_why_and_does_not_spin(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        error = RuntimeFailure("exec: no such file", reason="RunContainerError")
        node.runtime.scripts["main:1"] = Script(start_error=error)
        node.api.put(POD, make_pod())
        await node.until(
            lambda: (
                node.pod()
                and node.container().get("state", {}).get("waiting", {}).get("reason")
                == "RunContainerError"
            )
        )
        assert node.container()["lastState"]["terminated"]["message"] == "exec: no such file"
        assert len(verbs(node, "start")) == 1
        node.runtime.scripts["main:1"] = Script()
        await node.until(lambda: node.container()["restartCount"] == 1)
        await node.until(lambda: "running" in node.container()["state"])


async def test_a_pod_that_does_not_fit_is_failed_and_says_so(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock(), cpu="1") as node:
        pod = make_pod()
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}}
        node.api.put(POD, pod)
        await node.until(lambda: node.pod() and node.status()["phase"] == "Failed")
        assert node.status()["reason"] == "OutOfcpu"
        assert verbs(node, "create") == []


async def test_a_pod_that_the_node_ends_is_failed_within_its_shorter_grace_with_no_server(
    tmp_path: Path,
) -> None:
    from agent.pods.state import Failure
    from edgek.api.errors import ServiceUnavailable
    from edgek.client.transport import Call

    def down(call: Call) -> None:
        raise ServiceUnavailable("no")

    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.scripts["main:1"] = Script(ignores_term=True)
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        node.api.before.append(down)
        evicted = Failure(reason="Evicted", message="The node was low on memory.", disruption=True)
        assert node.sync.fail("uid-web", evicted, grace_seconds=3)
        async with asyncio.timeout(5):
            await node.sync.ended("uid-web")
        node.api.before.clear()
        await node.until(lambda: node.status()["phase"] == "Failed", within=60)
        assert node.status()["reason"] == "Evicted"
        told = next(c for c in node.status()["conditions"] if c["type"] == "DisruptionTarget")
        assert (told["status"], told["reason"]) == ("True", "TerminationByKubelet")
        assert not node.sync.fail("uid-web", evicted)


async def test_a_failed_liveness_probe_restarts_the_container(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        from agent.runtime.runtime import ExecResult

        async def sick(command: tuple[str, ...]) -> ExecResult:
            return ExecResult(exit_code=1, output=b"sick")

        node.runtime.scripts["main:1"] = Script(exec=sick)
        pod = make_pod()
        pod["spec"]["containers"][0]["livenessProbe"] = {
            "exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 3,
        }  # fmt: skip
        node.api.put(POD, pod)
        await node.until(lambda: node.pod() and node.container().get("restartCount") == 1)
        assert node.messages("Unhealthy")[0] == "Liveness probe failed: sick"
        assert node.messages("Killing") == [
            "Container main failed liveness probe, will be restarted"
        ]


async def test_readiness_follows_its_probe(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        from agent.runtime.runtime import ExecResult

        codes = {"code": 1}

        async def check(command: tuple[str, ...]) -> ExecResult:
            return ExecResult(exit_code=codes["code"], output=b"")

        node.runtime.scripts["main:1"] = Script(exec=check)
        pod = make_pod()
        pod["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["x"]},
                                                          "periodSeconds": 1}  # fmt: skip
        node.api.put(POD, pod)
        await node.until(lambda: is_running(node))
        assert node.container()["ready"] is False
        codes["code"] = 0
        await node.until(lambda: node.container()["ready"])


async def test_nothing_is_asked_or_written_while_nothing_happens(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        import asyncio

        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node))
        await asyncio.sleep(5)
        calls, writes = len(node.runtime.calls), len(node.api.calls)
        await asyncio.sleep(3600)
        assert (len(node.runtime.calls), len(node.api.calls)) == (calls, writes)


async def test_a_dead_engine_is_survived(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.crash()
        node.api.put(POD, make_pod())
        await node.until(lambda: verbs(node, "find_image"))
        node.runtime.recover()
        await node.until(lambda: is_running(node))


async def test_an_unreachable_server_delays_no_container(tmp_path: Path) -> None:
    from edgek.api.errors import ServiceUnavailable
    from edgek.client.transport import Call

    async with running_node(tmp_path, clock=FakeClock(), restored=[make_pod()]) as node:

        def down(call: Call) -> None:
            raise ServiceUnavailable("no")

        node.api.before.append(down)
        await node.until(lambda: verbs(node, "start"), within=2)
        node.api.before.clear()
        node.api.put(POD, make_pod())
        await node.until(lambda: is_running(node), within=90)


def with_hooks(**hooks: Any) -> Obj:
    pod = make_pod()
    pod["spec"]["containers"][0]["lifecycle"] = hooks
    return pod


async def test_a_container_is_not_ready_before_its_post_start_hook_has_ended(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(POD, with_hooks(postStart={"sleep": {"seconds": 60}}))
        await node.until(lambda: is_running(node))
        assert not node.container()["ready"]
        await asyncio.sleep(70)
        assert node.container()["ready"]


async def test_a_container_whose_post_start_hook_fails_is_stopped_and_tried_again(
    tmp_path: Path,
) -> None:
    async def fails(command: tuple[str, ...]) -> ExecResult:
        return ExecResult(exit_code=1, output=b"")

    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.scripts["main:1"] = Script(exec=fails)
        node.api.put(POD, with_hooks(postStart={"exec": {"command": ["false"]}}))
        await node.until(lambda: "FailedPostStartHook" in node.reasons())
        await node.until(lambda: node.container().get("restartCount", 0) >= 1)
        assert node.messages("Killing")[0] == "FailedPostStartHook"


async def test_a_pre_stop_hook_takes_its_time_from_the_grace(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running_node(tmp_path, clock=clock) as node:
        node.api.put(POD, with_hooks(preStop={"sleep": {"seconds": 8}}))
        await node.until(lambda: is_running(node))
        began = clock.now()
        node.delete(grace=5)
        await node.until(lambda: node.pod() is None)
        assert 5 <= (clock.now() - began).total_seconds() < 9
        assert node.messages("FailedPreStopHook") == ["PreStopHook failed"]
