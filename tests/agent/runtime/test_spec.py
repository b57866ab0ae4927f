"""The pure parts: specs for Podman, observed containers, references, limits."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.cgroups import cpu_weight, plan_limits
from agent.runtime.command import plan_result
from agent.runtime.failure import line_error, redacted
from agent.runtime.handlers import find_handlers, plan_node_handlers
from agent.runtime.machine import Machine
from agent.runtime.observed import observe_image, observe_inspected, observe_listed
from agent.runtime.reference import normalize_reference
from agent.runtime.runtime import (
    ContainerSpec,
    Device,
    Mount,
    Namespaces,
    Resources,
    RuntimeFailure,
    Security,
)
from agent.runtime.service import containers_conf
from agent.runtime.spec import plan_spec, plan_update

SPEC = ContainerSpec(
    name="a",
    image="web",
    namespaces=Namespaces(net="/run/n/net", ipc="/run/n/ipc", uts="host", pid="a" * 64),
    cgroup_parent="/edgek/burstable/podx",
    log_path="/var/log/pods/x/0.log",
    resources=Resources(memory_limit_bytes=1024, cpu_shares=51, oom_score_adj=-998),
)
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app:2", "localhost/app:2"),
        ("registry:5000/app", "registry:5000/app:latest"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (DIGEST, "a" * 64),
    ],
)
def test_references_mean_the_same_everywhere(given: str, full: str) -> None:
    assert normalize_reference(given) == full


def test_namespaces_are_paths_the_hosts_or_another_containers() -> None:
    body = plan_spec(SPEC, machine=Machine(), boot="b")
    assert body["netns"] == {"nsmode": "path", "value": "/run/n/net"}
    assert body["utsns"] == {"nsmode": "host"}
    assert body["pidns"] == {"nsmode": "container", "value": "a" * 64}


def test_what_the_machine_lacks_is_left_out() -> None:
    poor = Machine(controllers=frozenset({"cpu"}), oom_score_floor=0)
    body = plan_spec(SPEC, machine=poor, boot="b")
    assert body["resource_limits"] == {"cpu": {"shares": 51}}
    assert body["oom_score_adj"] == 0
    full = plan_spec(SPEC, machine=Machine(swap_accounting=True), boot="b")
    assert full["resource_limits"]["memory"] == {"limit": 1024, "swap": 1024}
    assert full["oom_score_adj"] == -998
    assert any("cgroup_enable=memory" in s for s in poor.shortcomings())
    assert not list(Machine().shortcomings())


def test_mounts_and_security_are_said_in_podmans_words() -> None:
    spec = replace(
        SPEC,
        mounts=(
            Mount(target="/d", source="/s", read_only=True, no_exec=True),
            Mount(target="/t", tmpfs=True),
        ),
        security=Security(user="1:2", read_only_root=True, seccomp_profile="runtime/default"),
    )
    body = plan_spec(spec, machine=Machine(), boot="b")
    assert body["mounts"][0]["options"] == ["rbind", "ro", "rprivate", "noexec"]
    assert body["mounts"][1] == {"type": "tmpfs", "destination": "/t", "options": ["rw"]}
    assert (body["user"], body["read_write_tmpfs"]) == ("1:2", False)
    assert "seccomp_profile_path" not in body
    assert plan_spec(SPEC, machine=Machine(), boot="b")["seccomp_profile_path"] == "unconfined"


def test_devices_are_given_in_the_notation_of_podmans_command_line() -> None:
    devices = (Device(path="/dev/a", target="/dev/b", permissions="rw"),)
    body = plan_spec(replace(SPEC, devices=devices), machine=Machine(), boot="b")
    assert body["devices"] == [{"path": "/dev/a:/dev/b:rw"}]


def test_limits_have_the_words_of_each_cgroup_version() -> None:
    resources = Resources(cpu_shares=1024, cpu_quota_us=50_000, memory_limit_bytes=7, pids_limit=9)
    assert plan_limits(resources, machine=Machine(cgroup_v2=True)) == [
        ("cpu.weight", "39"), ("cpu.max", "50000 100000"), ("memory.max", "7"), ("pids.max", "9"),
    ]  # fmt: skip
    assert plan_limits(resources, machine=Machine(cgroup_v2=False)) == [
        ("cpu.shares", "1024"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000"),
        ("memory.limit_in_bytes", "7"), ("pids.max", "9"),
    ]  # fmt: skip
    assert [cpu_weight(shares) for shares in (0, 2, 262144, 999999)] == [1, 1, 10000, 10000]


def test_a_list_and_an_inspection_agree() -> None:
    listed = observe_listed(
        {"Id": "x", "Names": ["a"], "State": "running", "Pid": 7, "StartedAt": 1767323045,
         "Created": "2026-01-02T03:04:04.123456789+01:00", "Labels": None}
    )  # fmt: skip
    inspected = observe_inspected(
        {"Id": "x", "Name": "a", "Created": "2026-01-02T03:04:04.123456789+01:00",
         "State": {"Status": "running", "Pid": 7, "StartedAt": "2026-01-02T03:04:05Z",
                   "FinishedAt": "0001-01-01T00:00:00Z"}}
    )  # fmt: skip
    assert listed == inspected
    assert listed.created_at == datetime(2026, 1, 2, 2, 4, 4, 123456, tzinfo=UTC)


def test_cruns_own_failures_are_told_from_the_commands() -> None:
    def crun(message: str) -> bytes:
        return b'{"msg":"%s","level":"error","time":"t"}\n' % message.encode()

    assert plan_result(1, b'{"msg":"mine"}').exit_code == 1
    assert plan_result(-9, b"").exit_code == 137
    for code, words in (
        (1, "executable file `x` not found"),
        (255, "open executable: Permission denied"),
        (1, "error opening file `/run/crun/x/status`"),
    ):
        with pytest.raises(RuntimeFailure, match=words):
            plan_result(code, crun(words))


def test_what_a_registry_says_is_told_without_its_secrets() -> None:
    said = (
        'Get "https://me:pass@registry.example.com/v2/?sig=abc&se=1": denied; '
        "http://user@other/x: 404 (see docker://busybox@sha256:00)"
    )
    told = redacted(said)
    assert told == (
        'Get "https://registry.example.com/v2/?[REDACTED]": denied; '
        "http://other/x: 404 (see docker://busybox@sha256:00)"
    )
    temporary = (
        "write /var/lib/overlay-layers/.tmp-layers.json2720701574: no space; /x/storage123456/1"
    )
    assert redacted(temporary) == (
        "write /var/lib/overlay-layers/.tmp-layers.json*: no space; /x/storage*/1"
    )
    line = b'{"error": "https://a:b@c/d: no"}\n'
    assert line_error(line) == "https://c/d: no"


def test_podmans_configuration_asks_for_no_more_than_is_permitted() -> None:
    conf = containers_conf(Machine(nofile=20000, nproc=32768), conmon=Path("/c"))
    assert '"nofile=20000:20000", "nproc=32768:32768"' in conf


def test_podman_knows_every_runtime_and_gives_containerds_capabilities(tmp_path: Path) -> None:
    program = tmp_path / "careful"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    own = tmp_path / "containers.conf"
    own.write_text(
        f'[engine.runtimes]\ncareful = ["/absent", "{program}"]\ngone = ["/absent"]\n'
        'odd = "text"\n"na\\nme" = ["/bin/sh"]\n'
    )
    broken = tmp_path / "broken.conf"
    broken.write_text("[")
    found = find_handlers((own, broken, tmp_path / "absent"))
    assert found["careful"] == str(program)
    assert not found.keys() & {"gone", "odd", "na\nme"}
    conf = tomllib.loads(containers_conf(Machine(), conmon=Path("/c"), handlers=found))
    assert conf["engine"]["runtimes"]["careful"] == [str(program)]
    assert len(conf["containers"]["default_capabilities"]) == 14
    assert "SYS_ADMIN" not in conf["containers"]["default_capabilities"]
    told = plan_node_handlers(("crun", "careful"), machine=Machine(recursive_read_only=False))
    assert [h["name"] for h in told] == ["", "crun", "careful"]
    assert told[0]["features"] == {"recursiveReadOnlyMounts": False, "userNamespaces": True}


def test_where_the_kernel_can_a_container_dies_whole_for_want_of_memory() -> None:
    limits = plan_spec(SPEC, machine=Machine(cgroup_v2=True), boot="b")["resource_limits"]
    assert limits["unified"] == {"memory.oom.group": "1"}
    v1 = plan_spec(SPEC, machine=Machine(cgroup_v2=False), boot="b")["resource_limits"]
    assert "unified" not in v1


def test_huge_pages_are_for_who_asks_for_them_where_the_kernel_counts_them() -> None:
    spec = replace(SPEC, resources=Resources(huge_pages={2 << 20: 4 << 20}))
    counts = Machine(controllers=frozenset({"hugetlb"}), huge_pages=(1 << 30, 64 << 10))
    limits = plan_spec(spec, machine=counts, boot="b")["resource_limits"]
    assert limits["hugepageLimits"] == [
        {"pageSize": "64KB", "limit": 0},
        {"pageSize": "2MB", "limit": 4 << 20},
        {"pageSize": "1GB", "limit": 0},
    ]
    plain = plan_spec(spec, machine=Machine(huge_pages=(2 << 20,)), boot="b")
    assert "hugepageLimits" not in plain["resource_limits"]


def test_an_update_is_of_cpu_and_memory_alone() -> None:
    wanted = Resources(memory_limit_bytes=2048, cpu_shares=9, pids_limit=5, oom_score_adj=3)
    assert plan_update(wanted, machine=Machine()) == {
        "cpu": {"shares": 9}, "memory": {"limit": 2048},
    }  # fmt: skip


def test_input_stays_open_unless_it_is_for_one_only() -> None:
    def annotations(**spec: bool) -> object:
        body = plan_spec(replace(SPEC, **spec), machine=Machine(), boot="b")
        return body.get("annotations")

    assert annotations(stdin=True) == {"io.edgek.stdin-open": "true"}
    assert annotations(stdin=True, stdin_once=True) is None
    assert annotations() is None


def test_what_podman_sets_of_itself_goes_unless_the_image_or_a_terminal_wants_it() -> None:
    def unset(**more: Any) -> Any:
        spec = replace(SPEC, **more)
        return plan_spec(spec, machine=Machine(cgroup_v2=True), boot="b")["unsetenv"]

    image = observe_image({"Id": "1", "Config": {"Env": ["TERM=dumb", "container=oci", "A=b=c"]}})
    assert image.env == {"TERM", "container", "A"}
    assert unset() == ["TERM", "container"]
    assert unset(tty=True) == ["container"]
    assert unset(image_env=image.env) == []
