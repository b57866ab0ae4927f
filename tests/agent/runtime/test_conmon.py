"""What Podman is given for conmon, run by a real shell with a program in conmon's place."""

import subprocess
from pathlib import Path

import pytest

from agent.runtime.conmon import cgroup_of_conmons, environment, wrapper
from agent.runtime.machine import Machine
from agent.runtime.spec import STDIN_OPEN

CONMON = '#!/bin/sh\necho "$(pwd)" "$@"\n'


@pytest.fixture
def conmon(tmp_path: Path) -> Path:
    path = tmp_path / "conmon"
    path.write_text(CONMON)
    path.chmod(0o755)
    return path


def start(
    conmon: Path, *words: str, cgroup: Path | None, cwd: Path, flock: str = "", lock: str = ""
) -> str:
    script = conmon.with_name("wrapper")
    script.write_text(wrapper(str(conmon), cgroup=cgroup, flock=flock, lock=Path(lock)))
    done = subprocess.run(
        ["sh", script, *words], capture_output=True, text=True, check=True, cwd=cwd
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_conmon_goes_to_the_cgroup_of_conmons(conmon: Path, tmp_path: Path):
    group = tmp_path / "group"
    group.mkdir()
    said = start(conmon, "-c", "1", cgroup=group, cwd=tmp_path)
    assert (group / "cgroup.procs").read_text() == "0\n"
    assert said == f"{tmp_path} -c 1"


def test_conmon_starts_where_it_is_when_there_is_no_such_cgroup(conmon: Path, tmp_path: Path):
    for cgroup in (tmp_path / "none", None):
        assert start(conmon, "-c", "1", cgroup=cgroup, cwd=tmp_path) == f"{tmp_path} -c 1"


def test_conmon_starts_in_the_bundle_and_leaves_open_an_input_that_is_to_be(
    conmon: Path, tmp_path: Path
):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    words = ("-b", str(bundle), "-i")
    assert start(conmon, *words, cgroup=None, cwd=tmp_path) == f"{bundle} {' '.join(words)}"
    (bundle / "config.json").write_text(STDIN_OPEN)
    open_words = f"--leave-stdin-open {' '.join(words)}"
    assert start(conmon, *words, cgroup=None, cwd=tmp_path) == f"{bundle} {open_words}"


def test_cleanups_run_one_after_the_other(conmon: Path, tmp_path: Path) -> None:
    """What conmon runs in the end is flock with Podman's own words behind it."""
    note = tmp_path / "note"
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\necho "in $*" >>{note}; sleep 0.1; echo out >>{note}\n')
    slow.chmod(0o755)
    words = ("-e", "--exit-command", str(slow), "--exit-command-arg", "a b", "-x")
    said = start(conmon, *words, cgroup=None, cwd=tmp_path,
                 flock="/usr/bin/flock", lock=str(tmp_path / "lock"))  # fmt: skip
    given = said.partition("--exit-command ")[2].removesuffix(" -x").split(" --exit-command-arg ")
    assert given[-2:] == [str(slow), "a b"]
    running = [subprocess.Popen(given) for _ in range(3)]
    assert [one.wait(10) for one in running] == [0, 0, 0]
    assert note.read_text().split("\n") == ["in a b", "out"] * 3 + [""]


def test_podman_is_kept_from_moving_conmon_only_where_there_is_a_cgroup_for_it():
    v2, v1 = (cgroup_of_conmons(Machine(cgroup_v2=v), "/edgek") for v in (True, False))
    assert str(v2) == "/sys/fs/cgroup/edgek/conmon"
    assert "INVOCATION_ID" in environment(cgroup=v2)
    assert v1 is None
    assert environment(cgroup=v1) == {}
