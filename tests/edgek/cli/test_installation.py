"""What ``edgek uninstall`` finds on a machine and what it leaves alone."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgek.cli import installation, uninstall
from edgek.cli.main import main
from edgek.cli.token import command as token_command
from edgek.roles import Role, Settings

ENDS_WELL = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print(flush=True)"
DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True)"


def machine(tmp_path: Path) -> dict[str, str]:
    settings = {
        "data_dir": tmp_path / "data", "run_dir": tmp_path / "run", "log_dir": tmp_path / "log",
        "write_kubeconfig": tmp_path / "etc/edgek.yaml",
        "pod_manifest_path": tmp_path / "etc/manifests",
    }  # fmt: skip
    return {k: str(v) for k, v in settings.items()}


@pytest.fixture
def start(tmp_path: Path):
    """Something that looks like edgek to who reads /proc."""
    program = tmp_path / "edgek"
    started: list[subprocess.Popen[str]] = []

    def start(body: str, *argv: str) -> subprocess.Popen[str]:
        program.write_text(f"import time\n{body}\ntime.sleep(60)\n")
        process = subprocess.Popen(
            [sys.executable, str(program), *argv], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_only_the_processes_of_this_data_directory_are_stopped(tmp_path: Path, start) -> None:
    ours = start(ENDS_WELL, "server", "--data-dir", str(tmp_path / "data"))
    other = start(ENDS_WELL, "agent", f"--data-dir={tmp_path / 'other'}")
    assert installation.stop_processes(tmp_path / "data") == []
    assert ours.wait(5) == 0
    assert other.poll() is None


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path, start) -> None:
    deaf = start(DEAF, "agent", "--data-dir", str(tmp_path / "data"))
    assert installation.stop_processes(tmp_path / "data", seconds=0.2) == []
    assert deaf.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["/opt/edgek/bin/edgek", "server", "--debug"], ["--debug"]),
        (["/usr/bin/python3", "/opt/edgek/bin/edgek", "agent"], []),
        (["/opt/edgek/bin/edgek", "get", "pods"], None),
        (["vim", "edgek"], None),
        (["grep", "-r", "edgek", "server"], None),
        (["python3", "-m", "edgek", "server"], None),
        ([""], None),
    ],
)
def test_which_processes_are_roles(argv: list[str], found: list[str] | None) -> None:
    assert installation.role_arguments(argv) == found


def test_settings_come_from_the_units_files_and_their_arguments(tmp_path: Path) -> None:
    file = tmp_path / "edgek.env"
    file.write_text('# words\nEDGEK_ARGS="--data-dir /a --node-label x=y"\nEDGEK_RUN_DIR="/b c"\n')
    found = installation.read_environment(file)
    assert found == {"EDGEK_ARGS": "--data-dir /a --node-label x=y", "EDGEK_RUN_DIR": "/b c"}
    settings = installation.settings_of(found["EDGEK_ARGS"].split(), found)
    assert (settings["data_dir"], settings["run_dir"]) == ("/a", "/b c")
    assert installation.read_environment(tmp_path / "none") == {}


def test_settings_that_make_no_sense_do_not_keep_us_from_leaving(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("nonsense: 1\n")
    settings = installation.settings_of(["--config", str(config), "--data-dir", "/a"], {})
    assert settings["data_dir"]


def test_files_go_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    env_file = tmp_path / "etc/edgek.env"
    settings = machine(tmp_path)
    for name in ("data/server/db/state.db", "data/agent/pods/x", "data/mine", "run/ns/a",
                 "etc/edgek.yaml", "etc/edgek.env", "etc/config.yaml"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "etc/manifests").mkdir()
    assert installation.remove_files(settings, env_file=env_file) == []
    assert not (tmp_path / "etc/manifests").exists()
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["data/mine", "etc/config.yaml"]
    assert installation.remove_files(settings, env_file=env_file) == []


def test_nothing_is_left_of_a_data_directory_where_all_was_ours(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("agent/images", "landing", "network", "storage"):
        (data / name).mkdir(parents=True)
    settings = {
        "data_dir": str(data), "run_dir": str(tmp_path / "run"), "log_dir": str(tmp_path / "log"),
        "write_kubeconfig": str(tmp_path / "k.yaml"), "pod_manifest_path": str(tmp_path / "m"),
    }  # fmt: skip
    assert installation.remove_files(settings, env_file=tmp_path / "etc/edgek.env") == []
    assert not data.exists()


@pytest.mark.host
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_mounted_below_is_unmounted_and_not_deleted(tmp_path: Path) -> None:
    users = tmp_path / "the users data"
    users.mkdir()
    (users / "precious").write_text("x")
    mounted = tmp_path / "data/agent/pods/a volume"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "--bind", users, mounted], check=True)
    try:
        assert installation.mounts_below(tmp_path / "data") == [mounted]
        assert installation.remove_tree(tmp_path / "data") == []
    finally:
        subprocess.run(["umount", "-l", mounted], check=False, capture_output=True)
    assert not (tmp_path / "data").exists()
    assert (users / "precious").read_text() == "x"


def test_every_step_is_tried_though_one_failed() -> None:
    done: list[str] = []

    def step(name: str, *problems: str):
        return name, lambda settings: done.append(name) or list(problems)

    steps = (step("one", "no luck"), step("two", "none", "either"), step("three"))
    assert uninstall.leave({}, steps) == ["one: no luck", "two: none", "two: either"]
    assert done == ["one", "two", "three"]


@pytest.mark.host
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_nothing_goes_without_a_yes(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    result = CliRunner().invoke(main, ["uninstall", "--data-dir", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (
        2, "error: uninstall deletes the cluster's data: say --yes\n"
    )  # fmt: skip
    assert (tmp_path / "server").exists()


def test_the_token_comes_with_how_to_join(tmp_path: Path) -> None:
    result = CliRunner().invoke(token_command, ["--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "run this on the server's machine" in result.stderr
    (tmp_path / "server").mkdir()
    (tmp_path / "server/node-token").write_text("K10abc::node:secret\n")
    result = CliRunner().invoke(token_command, ["--data-dir", str(tmp_path)])
    assert "EDGEK_TOKEN=K10abc::node:secret edgek agent --server https://" in result.output
    result = CliRunner().invoke(token_command, ["--data-dir", str(tmp_path), "--only"])
    assert result.output == "K10abc::node:secret\n"


async def test_a_role_that_cannot_clean_up_does_not_stop_the_other() -> None:
    async def fails(settings: Settings) -> list[str]:
        raise OSError("podman is gone")

    async def tells(settings: Settings) -> list[str]:
        return ["a mount is left"]

    async def run(settings: Settings, stop: asyncio.Event) -> None:
        pass

    roles = [
        Role(name=name, help="", options=(), run=run, clean_up=clean_up)
        for name, clean_up in (("agent", fails), ("other", tells))
    ]
    problems = await uninstall.clean_up(roles, {})
    assert problems == ["agent: podman is gone", "a mount is left"]
